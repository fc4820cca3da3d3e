"""A teardown of file systems that answer late: ``late_teardown.py FOLDER TASKS``.

Root. TASKS is JSON: a list of tasks, each a list of ms. Each task is a thread that unmounts as many
FUSE file systems one after the other, all threads at once; each server answers the question that
ends its file system (DESTROY) after so many ms. Task 0 unmounts FOLDER/0.0, FOLDER/0.1, ...

The mounts are in a mount namespace of its own; whose it is says the ``mntns`` of the rows.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

from tests.holders.fuse_server import HEADER, SIZE, Server
from tests.lab.silent_fuse import BYTES, DESTROY
from umtrace.exercise import syscalls


def serve(channel, delay_s):
    """Answer until the file system ends, the last question late."""
    server = Server()
    while True:
        try:
            data = os.read(channel, SIZE + (1 << 16))
        except PermissionError:  # not mounted yet
            time.sleep(0.005)
            continue
        except OSError:  # ENODEV: nothing is mounted any more
            return
        _, operation, unique, node = HEADER.unpack_from(data)
        if operation == DESTROY:
            time.sleep(delay_s)
            os.write(channel, struct.pack("=IiQ", 16, 0, unique))
            return
        error, body = server.answer(operation, node)
        try:
            os.write(channel, struct.pack("=IiQ", 16 + len(body), error, unique) + body)
        except OSError:  # what needs no answer (FORGET, INTERRUPT)
            continue


def served(delay_ms):
    """Start a server; return the descriptor to mount with.

    It stays in the mount namespace of the parent. In that of the mounts, it could be the last task:
    at its death the kernel would wait for its answer before it closes its descriptor.
    """
    channel = os.open("/dev/fuse", os.O_RDWR)
    if not os.fork():
        try:
            syscalls.die_with_parent(signal.SIGKILL)
            serve(channel, delay_ms / 1000)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return channel


def device_of(image):
    """Return a loop device; only a file system on a device is asked at its end."""
    with image.open("wb") as file:
        file.truncate(BYTES)
    return subprocess.check_output(["losetup", "-f", "--show", image], text=True).strip()


def mounted(point, channel):
    """Mount one file system."""
    point.mkdir()
    device = device_of(Path(f"{point}.img"))
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0,blksize=512"
    syscalls.mount(device, str(point), "fuseblk", data=options)
    os.close(channel)
    subprocess.run(["losetup", "-d", device], check=True)  # once nothing has it open
    point.stat()  # it has answered the first question


def main():
    folder, tasks = Path(sys.argv[1]), json.loads(sys.argv[2])
    channels = [[served(delay_ms) for delay_ms in delays] for delays in tasks]
    syscalls.unshare_mounts()
    syscalls.make_private()
    syscalls.mount("none", str(folder), "tmpfs")
    for task, each in enumerate(channels):
        for number, channel in enumerate(each):
            mounted(folder / f"{task}.{number}", channel)
    together = threading.Barrier(len(tasks))

    def unmount(task):
        paths = [os.fsencode(folder / f"{task}.{n}") for n in range(len(tasks[task]))]
        together.wait()
        for path in paths:
            if error := syscalls.timed_umount(path, 0)[2]:
                sys.exit(f"{path}: {os.strerror(error)}")

    threads = [threading.Thread(target=unmount, args=(task,)) for task in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
