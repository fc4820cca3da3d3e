"""File systems on image files: one image and one loop device per mount slot.

The devices clear themselves when the last user is gone, so that even a killed run
leaves none behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.model.errors import UmtraceError

_CTL_GET_FREE: Final = 0x4C82
_SET_FD: Final = 0x4C00
_SET_STATUS64: Final = 0x4C04
_CONFIGURE: Final = 0x4C0A
_FLAG_AUTOCLEAR: Final = 4
#: struct loop_info64 up to lo_flags, and its size
_INFO_HEAD: Final = struct.Struct("=5Q4I")
_INFO_BYTES: Final = 232
#: struct loop_config: fd, block size, loop_info64, eight reserved words
_CONFIG_HEAD: Final = struct.Struct("=2I")
_CONFIG_BYTES: Final = 304

_MIB: Final = 1 << 20
_SMALLEST_MIB: Final = {"ext4": 64, "xfs": 320}  # mkfs.xfs refuses less than 300
_PACKAGES: Final = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_ATTEMPTS: Final = 100
_RETRY_S: Final = 0.01


def find_mkfs(fstype: str) -> str:
    """Return the path of mkfs.FSTYPE; UmtraceError names the package it is in."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    found = shutil.which(f"mkfs.{fstype}", path=path)
    if found is None:
        raise UmtraceError(f"mkfs.{fstype} is missing: apt-get install {_PACKAGES[fstype]}")
    return found


def make_image(path: Path, fstype: str, files: int) -> None:
    """Make a sparse image with a file system that has room for `files` empty files."""
    mkfs = find_mkfs(fstype)
    with path.open("wb") as image:
        image.truncate(_SMALLEST_MIB[fstype] * _MIB + files * 1024)
    options = ["-q"]
    if fstype == "ext4":
        inodes = str(files + 1024)
        options += ["-F", "-N", inodes, "-E", "lazy_itable_init=0,lazy_journal_init=0"]
    done = subprocess.run(
        [mkfs, *options, str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for the exercise, which then cleans up
    )
    if done.returncode:
        raise UmtraceError(f"mkfs.{fstype} failed: {done.stderr.strip() or done.stdout.strip()}")


@contextlib.contextmanager
def loop_device(image: Path) -> Iterator[Path]:
    """Attach the image to a free loop device for as long as the block runs."""
    image_fd = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        device, fd = _attach_free(image_fd)
    finally:
        os.close(image_fd)
    try:
        yield device
    finally:
        os.close(fd)


def mount_device(device: Path, target: str, fstype: str) -> None:
    """Mount; wait a little where the last user of the device is not gone yet."""
    for _ in range(_ATTEMPTS):
        if _mounted(device, target, fstype):
            return
        time.sleep(_RETRY_S)
    syscalls.mount(str(device), target, fstype)


def _mounted(device: Path, target: str, fstype: str) -> bool:
    try:
        syscalls.mount(str(device), target, fstype)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def wait_cleared(device: Path) -> bool:
    """Wait until the device has no image any more; False where it keeps one."""
    backing = Path("/sys/block", device.name, "loop/backing_file")
    for _ in range(_ATTEMPTS):
        if not backing.exists():
            return True
        time.sleep(_RETRY_S)
    return False


def _attach_free(image_fd: int) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS):
        device = free_loop_device()
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        try:
            _configure(fd, image_fd)
        except OSError as error:
            os.close(fd)
            if error.errno != errno.EBUSY:  # busy: another task was faster
                raise UmtraceError(f"cannot use {device}: {error.strerror}") from error
        else:
            return device, fd
    raise UmtraceError("no free loop device: detach some with losetup -d")


def free_loop_device() -> Path:
    """Return a loop device that is free now; UmtraceError where the kernel has none."""
    try:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            return Path(f"/dev/loop{fcntl.ioctl(control, _CTL_GET_FREE)}")
        finally:
            os.close(control)
    except OSError as error:
        raise UmtraceError(f"no loop devices here ({error.strerror}): modprobe loop") from error


def _configure(fd: int, image_fd: int) -> None:
    info = _INFO_HEAD.pack(0, 0, 0, 0, 0, 0, 0, 0, _FLAG_AUTOCLEAR).ljust(_INFO_BYTES, b"\0")
    config = (_CONFIG_HEAD.pack(image_fd, 0) + info).ljust(_CONFIG_BYTES, b"\0")
    try:
        fcntl.ioctl(fd, _CONFIGURE, config)
    except OSError as error:
        # Added in: 3448914e8cc5 (loop: Add LOOP_CONFIGURE ioctl), 5.8.
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        fcntl.ioctl(fd, _SET_FD, image_fd)
        fcntl.ioctl(fd, _SET_STATUS64, info)
