"""``silent_fuse POINT lookup|shutdown``: a FUSE server that does not answer one question.

For ``shutdown`` that is the last one, which only a file system on a block device is asked: the
device is a loop device of a file beside the mountpoint.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.holders.fuse_server import LOOKUP, Server
from umtrace.exercise import syscalls

DESTROY = 38
BYTES = 1 << 20

if __name__ == "__main__":
    point, phase = sys.argv[1:]
    channel = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0"
    if phase == "shutdown":
        image = Path(f"{point}.img")
        with image.open("wb") as file:
            file.truncate(BYTES)
        device = subprocess.check_output(["losetup", "-f", "--show", image], text=True).strip()
        syscalls.mount(device, point, "fuseblk", data=f"{options},blksize=512")
        subprocess.run(["losetup", "-d", device], check=True)  # once nothing has it open
    else:
        syscalls.mount("server", point, "fuse", data=options)
    print("serves", flush=True)  # noqa: T201
    Server().serve(channel, {DESTROY if phase == "shutdown" else LOOKUP})
