"""Claims of a loop device as soon as the file system on it is unmounted; prints what they got.

    umtrace record -o rec.umt -- python tests/lab/claiming.py ledger.json

Six times each after a sync and a lazy umount, after the end of a mount namespace, and of a device
that nobody unmounted; then by mkfs and by mount(2).
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from umtrace.exercise import loopback, syscalls
from umtrace.exercise.children import fork_child, reap

ROOT = Path("/run/claiming")
ROUNDS = 6
FLAGS = {"sync": 0, "lazy": syscalls.MNT_DETACH}


def loop_of(name):
    """Return a loop device with an ext4 image, which stays bound."""
    image = ROOT / name
    loopback.make_image(image, "ext4", 0)
    words = ["/usr/sbin/losetup", "--find", "--show", str(image)]
    return Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())


def is_busy(device):
    """Open the device for oneself alone until that works; return whether it was busy at first."""
    busy = False
    while True:
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            busy = True
            time.sleep(0.002)
            continue
        return busy


def unmount(target, flags):
    """Unmount; raise if that fails."""
    number = syscalls.timed_umount(os.fsencode(target), flags)[2]
    if number:
        raise OSError(number, os.strerror(number), str(target))


def in_a_namespace(device, target):
    """Mount in a mount namespace that ends with its only task."""

    def body():
        syscalls.unshare_mounts()
        syscalls.make_private()
        loopback.mount_device(device, str(target), "ext4")

    if any(reap([fork_child("claiming", ROOT / "errors", body)])):
        raise RuntimeError((ROOT / "errors").read_text())


def main(ledger):
    """Run them all."""
    target = ROOT / "m"
    target.mkdir(parents=True, exist_ok=True)
    device, other = loop_of("image"), loop_of("other")
    found = {"device": device.stat().st_rdev, "other": other.stat().st_rdev}
    for name, flags in FLAGS.items():
        busy = 0
        for _ in range(ROUNDS):
            loopback.mount_device(device, str(target), "ext4")
            unmount(target, flags)
            busy += is_busy(device)
            is_busy(other)
        found[name] = busy
    found["exit"] = 0
    for _ in range(ROUNDS):
        in_a_namespace(device, target)
        found["exit"] += is_busy(device)
    mkfs = [loopback.find_mkfs("ext4"), "-q", "-F", str(device)]
    loopback.mount_device(device, str(target), "ext4")
    unmount(target, syscalls.MNT_DETACH)
    found["mkfs"] = subprocess.run(mkfs, check=False, capture_output=True).returncode != 0
    loopback.mount_device(device, str(target), "ext4")
    unmount(target, syscalls.MNT_DETACH)
    syscalls.mount(str(device), str(target), "ext4")
    unmount(target, 0)
    Path(ledger).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
