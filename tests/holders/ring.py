"""An io_uring that holds a file which nothing else has open."""

from __future__ import annotations

import ctypes
import os

_SETUP, _REGISTER, _REGISTER_FILES = 425, 427, 2  # io_uring_setup(2), io_uring_register(2)
_PARAMETERS = 120  # bytes


def ring_with(path: str | os.PathLike[str]) -> int:
    """Return the descriptor of an io_uring with a file; a kernel thread closes it with the ring."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long] * 5
    parameters = ctypes.create_string_buffer(_PARAMETERS)
    ring: int = libc.syscall(_SETUP, 1, ctypes.addressof(parameters), 0, 0)
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    file = ctypes.c_int(os.open(path, os.O_RDONLY))
    done = libc.syscall(_REGISTER, ring, _REGISTER_FILES, ctypes.addressof(file), 1)
    os.close(file.value)
    if done != 0:
        raise OSError(ctypes.get_errno(), "io_uring_register")
    return ring
