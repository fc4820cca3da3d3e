"""System calls that wait on descriptors, by their numbers in /proc/PID/syscall.

A task holds what it waits on until the call returns, even if another thread closes it.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable, Iterator, Sequence

#: calls with descriptors: name, and the positions of these arguments
_ONE, _TWO = (0,), (0, 1)
_X86_64: dict[int, tuple[str, tuple[int, ...]]] = {
    0: ("read", _ONE),
    1: ("write", _ONE),
    16: ("ioctl", _ONE),
    17: ("pread64", _ONE),
    18: ("pwrite64", _ONE),
    19: ("readv", _ONE),
    20: ("writev", _ONE),
    40: ("sendfile", _TWO),
    42: ("connect", _ONE),
    43: ("accept", _ONE),
    44: ("sendto", _ONE),
    45: ("recvfrom", _ONE),
    46: ("sendmsg", _ONE),
    47: ("recvmsg", _ONE),
    72: ("fcntl", _ONE),
    73: ("flock", _ONE),
    74: ("fsync", _ONE),
    75: ("fdatasync", _ONE),
    77: ("ftruncate", _ONE),
    78: ("getdents", _ONE),
    217: ("getdents64", _ONE),
    242: ("mq_timedsend", _ONE),
    243: ("mq_timedreceive", _ONE),
    275: ("splice", (0, 2)),
    276: ("tee", _TWO),
    277: ("sync_file_range", _ONE),
    278: ("vmsplice", _ONE),
    285: ("fallocate", _ONE),
    288: ("accept4", _ONE),
    295: ("preadv", _ONE),
    296: ("pwritev", _ONE),
    299: ("recvmmsg", _ONE),
    306: ("syncfs", _ONE),
    307: ("sendmmsg", _ONE),
    326: ("copy_file_range", (0, 2)),
    327: ("preadv2", _ONE),
    328: ("pwritev2", _ONE),
    426: ("io_uring_enter", _ONE),
}
_POLLS = {7: "poll", 271: "ppoll"}
_SELECTS = {23: "select", 270: "pselect6"}
_POLLFD = struct.Struct("=ihh")
_MOST = 4096  # descriptors of one poll that are read
#: whether the call numbers of this machine are known
KNOWN = platform.machine() == "x86_64"


def waits_on(
    words: Sequence[int], read: Callable[[int, int], bytes]
) -> tuple[str, list[int]] | None:
    """Return the call of a task and the descriptors it waits on; None if it is no such call.

    ``words`` has the number of the call and its arguments. ``read`` returns the memory of the task
    at an address, for a number of bytes.
    """
    number, *args = words if KNOWN else (-1,)
    if number in _X86_64:
        name, which = _X86_64[number]
        return name, [args[each] & 0xFFFFFFFF for each in which]
    if number in _POLLS:
        data = read(args[0], min(args[1], _MOST) * _POLLFD.size)
        whole = data[: len(data) // _POLLFD.size * _POLLFD.size]
        return _POLLS[number], [fd for fd, _, _ in _POLLFD.iter_unpack(whole) if fd >= 0]
    if number in _SELECTS:
        size = (min(args[0], _MOST) + 7) // 8
        sets = [read(address, size) for address in args[1:4] if address]
        return _SELECTS[number], sorted({fd for each in sets for fd in _bits(each, args[0])})
    return None


def _bits(data: bytes, end: int) -> Iterator[int]:
    for at, byte in enumerate(data):
        yield from (fd for bit in range(8) if byte >> bit & 1 and (fd := 8 * at + bit) < end)
