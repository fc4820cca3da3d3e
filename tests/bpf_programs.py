"""The BPF programs that the kernel has, whoever loaded them."""

from __future__ import annotations

import ctypes


def bpf_program_ids():
    """Return the ids of all loaded BPF programs."""
    libc = ctypes.CDLL(None, use_errno=True)
    ids, attr = set(), (ctypes.c_uint32 * 4)(0)
    while libc.syscall(321, 11, ctypes.byref(attr), 16) == 0:  # BPF_PROG_GET_NEXT_ID
        ids.add(attr[1])
        attr[0] = attr[1]
    return ids
