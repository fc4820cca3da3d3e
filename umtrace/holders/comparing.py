"""Compares what tasks have open, by kcmp(2), for the child process of `Asker`.

It is part of the program of `answering.py` and imports nothing of the project. The call waits for a
task that is in the middle of execve(2).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing takes longer to import than all other modules together
if TYPE_CHECKING:
    from collections.abc import Sequence

_KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "s390x": 343, "ppc64le": 354}
FILE, DIRECTORIES = 0, 3  #: KCMP_FILE, KCMP_FS
SAME = 0


def compared(pairs: Sequence[tuple[int, int, int, int, int]]) -> list[int]:
    """Return of each pair SAME, a positive number if they differ, or a negative errno.

    A pair is what is compared (FILE, DIRECTORIES), two threads, and of each its descriptor.
    """
    import ctypes  # noqa: PLC0415 - takes 10 ms, and is needed only if something may be shared

    number = _KCMP.get(os.uname().machine)
    if number is None:
        return [-38] * len(pairs)  # ENOSYS
    call = ctypes.CDLL(None, use_errno=True).syscall
    found = []
    for kind, one, other, *descriptors in pairs:
        words = (number, one, other, kind, *descriptors)
        result: int = call(*map(ctypes.c_long, words))
        found.append(result if result >= 0 else -ctypes.get_errno())
    return found
