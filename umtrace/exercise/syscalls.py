"""The system calls Python has no wrapper for; failures become OSError.

Only ``timed_umount`` is raw: it returns the errno instead of raising, and keeps
the two clock reads right around the call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from typing import Final

MS_RDONLY: Final = 1
MS_REC: Final = 0x4000
MS_BIND: Final = 0x1000
MS_PRIVATE: Final = 1 << 18
MS_SHARED: Final = 1 << 20
MNT_DETACH: Final = 2
CLONE_NEWNS: Final = 0x00020000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_GET_NAME: Final = 16
_COMM_BYTES: Final = 16  # TASK_COMM_LEN, terminating zero included

CLONE_NEWUSER: Final = 0x10000000

# One number each on every architecture.
_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_MOUNT_SETATTR: Final = 442
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_EMPTY_PATH: Final = 4
_AT_EMPTY_PATH: Final = 0x1000
_AT_FDCWD: Final = -100
#: struct mount_attr: attr_set, attr_clr, propagation, userns_fd
_MOUNT_ATTR: Final = struct.Struct("=4Q")
_MOUNT_ATTR_IDMAP: Final = 0x00100000

_libc = ctypes.CDLL(None, use_errno=True)
_mount = _libc.mount
_mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_umount2 = _libc.umount2
_umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_unshare = _libc.unshare
_unshare.argtypes = [ctypes.c_int]
_setns = _libc.setns
_setns.argtypes = [ctypes.c_int, ctypes.c_int]
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_void_p]

_clock_ns = time.perf_counter_ns  # CLOCK_MONOTONIC, the clock of the probes
_get_errno = ctypes.get_errno


def _check(status: int, filename: str | None = None) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), filename)


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount; the OSError of a failure names the target."""
    _check(
        _mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode() or None,
            flags,
            data.encode() or None,
        ),
        target,
    )


def timed_umount(path: bytes, flags: int) -> tuple[int, int, int]:
    """Call umount2 once; return (monotonic start, latency, errno), times in ns.

    The second clock read comes after the return to user mode, so the deferred file
    system shutdown is inside the latency.
    """
    begin = _clock_ns()
    status = _umount2(path, flags)
    end = _clock_ns()
    return begin, end - begin, _get_errno() if status else 0


def unshare(flags: int) -> None:
    """Stop sharing these parts of its state with the other tasks of the process."""
    _check(_unshare(flags))


def unshare_mounts() -> None:
    """Give this task a mount namespace of its own, a copy of the one it was in."""
    _check(_unshare(CLONE_NEWNS))


def open_tree_clone(path: str) -> int:
    """Return a descriptor of a detached copy of the mount at ``path`` (Linux 5.2)."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    fd = int(_libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags))
    _check(min(fd, 0), path)
    return fd


def id_map(fd: int, user_namespace: int, path: str) -> None:
    """Map the ids of a detached mount as the user namespace does (Linux 5.12).

    The OSError of a failure names ``path``.
    """
    attr = _MOUNT_ATTR.pack(_MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    size = ctypes.c_size_t(len(attr))
    _check(_libc.syscall(_MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH, attr, size), path)


def knows_mount_setattr() -> bool:
    """Whether the kernel has mount_setattr(2)."""
    status = _libc.syscall(_MOUNT_SETATTR, -1, None, 0, None, ctypes.c_size_t(0))
    return not (status and ctypes.get_errno() == errno.ENOSYS)


def move_mount(fd: int, target: str) -> None:
    """Attach a detached mount at ``target`` (Linux 5.2)."""
    to = os.fsencode(target)
    _check(_libc.syscall(_MOVE_MOUNT, fd, b"", _AT_FDCWD, to, _MOVE_MOUNT_EMPTY_PATH), target)


def enter_mounts(fd: int) -> None:
    """Move this task into the mount namespace of an open /proc/PID/ns/mnt."""
    _check(_setns(fd, CLONE_NEWNS))


def make_private() -> None:
    """Cut every mount of this namespace off from its peers on the host."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def die_with_parent(signum: int) -> None:
    """Have the kernel send `signum` to this task when its parent dies."""
    _check(_prctl(_PR_SET_PDEATHSIG, signum))


def set_comm(name: str) -> None:
    """Name this task; the kernel keeps the first 15 bytes."""
    _check(_prctl(_PR_SET_NAME, ctypes.create_string_buffer(name.encode())))


def get_comm() -> str:
    """Return the name of this task as the kernel knows it."""
    buffer = ctypes.create_string_buffer(_COMM_BYTES)
    _check(_prctl(_PR_GET_NAME, buffer))
    return buffer.value.decode(errors="replace")
