"""statx(2): the mount and the device behind a link of /proc, without asking a server."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import Final

_AT_FDCWD: Final = -100
#: neither a mount on demand nor a question to a network server
_FLAGS: Final = 0x800 | 0x4000  # AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC
_STATX_MNT_ID: Final = 0x1000
_SIZE: Final = 256
_MASK: Final = struct.Struct("=I")
_DEV: Final = struct.Struct("=II")
_DEV_AT: Final = 136
_MODE: Final = struct.Struct("=H")
_MODE_AT: Final = 28
_RDEV_AT: Final = 128
_ID: Final = struct.Struct("=Q")
_ID_AT: Final = 144

_libc = ctypes.CDLL(None, use_errno=True)


def mount_and_dev(path: str) -> tuple[int | None, str]:
    """Return the mount id (None before Linux 5.8) and ``major:minor``; OSError if gone.

    Holds the mount for the moment of the call: not for use while tracing.
    """
    buffer = _statx(path)
    (mask,) = _MASK.unpack_from(buffer, 0)
    mnt_id = _ID.unpack_from(buffer, _ID_AT)[0] if mask & _STATX_MNT_ID else None
    return mnt_id, _number(buffer, _DEV_AT)


def block_device(path: str) -> str | None:
    """Return ``major:minor`` of the block device that a link leads to, None if to another file.

    Opens nothing and asks no server; OSError if it is gone.
    """
    buffer = _statx(path)
    (mode,) = _MODE.unpack_from(buffer, _MODE_AT)
    return _number(buffer, _RDEV_AT) if stat.S_ISBLK(mode) else None


def _statx(path: str) -> ctypes.Array[ctypes.c_char]:
    buffer = ctypes.create_string_buffer(_SIZE)
    # All that is used is told without being asked for, and who asks for nothing is not refused by
    # another user's FUSE file system (fuse_getattr).
    if _libc.statx(_AT_FDCWD, os.fsencode(path), _FLAGS, 0, buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return buffer


def _number(buffer: ctypes.Array[ctypes.c_char], at: int) -> str:
    major, minor = _DEV.unpack_from(buffer, at)
    return f"{major}:{minor}"
