"""statmount(2): what mountinfo calls a mount of which only the unique id is known."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

#: unique ids, and the call, came together: 98d2b43081972 ("add unique mount ID"), Linux 6.8;
#: they begin above every id that is used again: at 1 << 31 since 6.10, at 1 << 32 before
_FIRST_UNIQUE: Final = 1 << 31
_STATMOUNT: Final = 457  # one number on every architecture
_STATMOUNT_MNT_BASIC: Final = 2
_REQUEST: Final = struct.Struct("=IIQQ")  # size, spare, mnt_id, mask
_SIZE: Final = 512
_ID_OLD: Final = struct.Struct("=I")
_ID_OLD_AT: Final = 56

_libc = ctypes.CDLL(None, use_errno=True)


def is_unique(mount_id: int) -> bool:
    """Whether it is an id that no other mount gets until the next boot."""
    return mount_id >= _FIRST_UNIQUE


def id_in_mountinfo(unique: int) -> int | None:
    """Return the id that mountinfo has; None if no such mount is in our namespace any more.

    Walks to no mount and holds none. OSError where the call is refused.
    """
    request = _REQUEST.pack(_REQUEST.size, 0, unique, _STATMOUNT_MNT_BASIC)
    buffer = ctypes.create_string_buffer(_SIZE)
    if _libc.syscall(_STATMOUNT, request, buffer, ctypes.c_size_t(_SIZE), 0) == 0:
        number: int = _ID_OLD.unpack_from(buffer, _ID_OLD_AT)[0]
        return number
    if ctypes.get_errno() == errno.ENOENT:
        return None
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "statmount")
