"""The id of a mount, by two system calls that Python does not wrap.

statx(2) returns the mount and the device that a link of /proc leads to, without asking a server.
statmount(2) returns the id in mountinfo of a mount of which only the unique id is known.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from typing import Final

_AT_FDCWD: Final = -100
#: no automount, and no request to a network server
_FLAGS: Final = 0x800 | 0x4000  # AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC
_STATX_MNT_ID: Final = 0x1000
_STATX_SIZE: Final = 256
_MASK: Final = struct.Struct("=I")
_DEV: Final = struct.Struct("=II")
_DEV_AT: Final = 136
_MODE: Final = struct.Struct("=H")
_MODE_AT: Final = 28
_RDEV_AT: Final = 128
_ID: Final = struct.Struct("=Q")
_ID_AT: Final = 144

#: Unique ids and this call came with 98d2b43081972 ("add unique mount ID"), Linux 6.8. They begin
#: above every id that is used again: at 1 << 31 since 6.10, at 1 << 32 before.
_FIRST_UNIQUE: Final = 1 << 31
_STATMOUNT: Final = 457  # one number on every architecture
_STATMOUNT_MNT_BASIC: Final = 2
_REQUEST: Final = struct.Struct("=IIQQ")  # size, spare, mnt_id, mask
_ANSWER_SIZE: Final = 512
_ID_OLD: Final = struct.Struct("=I")
_ID_OLD_AT: Final = 56

_libc = ctypes.CDLL(None, use_errno=True)


def mount_and_dev(path: str) -> tuple[int | None, str]:
    """Return the mount id (None before Linux 5.8) and ``major:minor``; OSError if it is gone.

    The call holds the mount for a moment, so it is not for use while tracing.
    """
    buffer = _statx(path)
    (mask,) = _MASK.unpack_from(buffer, 0)
    mnt_id = _ID.unpack_from(buffer, _ID_AT)[0] if mask & _STATX_MNT_ID else None
    return mnt_id, _number(buffer, _DEV_AT)


def block_device(path: str) -> str | None:
    """Return ``major:minor`` if a link leads to a block device, None if to another file.

    The call opens nothing and asks no server. OSError if the target is gone.
    """
    buffer = _statx(path)
    (mode,) = _MODE.unpack_from(buffer, _MODE_AT)
    return _number(buffer, _RDEV_AT) if stat.S_ISBLK(mode) else None


def is_unique(mount_id: int) -> bool:
    """Whether no other mount gets this id until the next boot."""
    return mount_id >= _FIRST_UNIQUE


def id_in_mountinfo(unique: int) -> int | None:
    """Return the id in mountinfo; None if this namespace no longer has such a mount.

    The call walks to no mount and holds none. OSError if it is refused.
    """
    request = _REQUEST.pack(_REQUEST.size, 0, unique, _STATMOUNT_MNT_BASIC)
    buffer = ctypes.create_string_buffer(_ANSWER_SIZE)
    if _libc.syscall(_STATMOUNT, request, buffer, ctypes.c_size_t(_ANSWER_SIZE), 0) == 0:
        number: int = _ID_OLD.unpack_from(buffer, _ID_OLD_AT)[0]
        return number
    if ctypes.get_errno() == errno.ENOENT:
        return None
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "statmount")


def _statx(path: str) -> ctypes.Array[ctypes.c_char]:
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    # Mask 0: the kernel fills in these fields anyway, and the FUSE file system of another user does
    # not refuse a call with an empty mask (fuse_getattr).
    if _libc.statx(_AT_FDCWD, os.fsencode(path), _FLAGS, 0, buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return buffer


def _number(buffer: ctypes.Array[ctypes.c_char], at: int) -> str:
    major, minor = _DEV.unpack_from(buffer, at)
    return f"{major}:{minor}"
