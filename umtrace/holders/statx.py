"""statx(2): the mount and the device behind a link of /proc, without asking a server."""

from __future__ import annotations

import ctypes
import os
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
_ID: Final = struct.Struct("=Q")
_ID_AT: Final = 144

_libc = ctypes.CDLL(None, use_errno=True)


def mount_and_dev(path: str) -> tuple[int | None, str]:
    """Return the mount id (None before Linux 5.8) and ``major:minor``; OSError if gone.

    Holds the mount for the moment of the call: not for use while tracing.
    """
    buffer = ctypes.create_string_buffer(_SIZE)
    # Both are told without being asked for, and who asks for nothing is not refused by another
    # user's FUSE file system (fuse_getattr).
    if _libc.statx(_AT_FDCWD, os.fsencode(path), _FLAGS, 0, buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    major, minor = _DEV.unpack_from(buffer, _DEV_AT)
    (mask,) = _MASK.unpack_from(buffer, 0)
    mnt_id = _ID.unpack_from(buffer, _ID_AT)[0] if mask & _STATX_MNT_ID else None
    return mnt_id, f"{major}:{minor}"
