"""Which files are in flight in a Unix socket: looked at where they lie, and not received."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache

from umtrace.holders.asker import asker
from umtrace.holders.claims import Claim

#: anonymous files that keep no other file open
_PLAIN = frozenset(
    f"anon_inode:{name}"
    for name in ("[eventfd]", "[eventpoll]", "[timerfd]", "[signalfd]", "inotify", "[pidfd]")
)
#: an open mount table, which keeps its namespace
_TABLES = ("/mountinfo", "/mounts", "/mountstats")


def unpacked(claim: Claim, number: int, lists: Callable[[int | None], bool]) -> Iterator[Claim]:
    """Yield where the files are that a socket is said to have in flight.

    What is a pipe, a memfd or the like is no file of any mount that can be asked about, and left
    out. The claim itself comes back, as a suspect, where some of the files are not known.

    Parameters
    ----------
    claim : Claim
        With the process, its descriptor, and what /proc calls the socket.
    number : int
        How many descriptors it says there are.
    lists : callable
        Whether a mount id is in a mount table that was read.
    """
    try:
        files = asker().ask("queued", claim.pid, claim.fd, os.fsencode(claim.detail))
    except OSError:
        files = []
    known = [(mnt_id, os.fsdecode(link)) for mnt_id, link in files]
    placed = [(mnt_id, link) for mnt_id, link in known if lists(mnt_id) and _is_plain(link)]
    nowhere = [1 for mnt_id, link in known if mnt_id in _internal() and _is_plain(link)]
    if len(known) != number or len(placed) + len(nowhere) != number:
        yield claim
    for mnt_id, link in dict.fromkeys(placed):
        note = f"in flight in {claim.detail}: sent to it, not received"
        yield replace(claim, mnt_id=mnt_id, path=link, detail=link, note=note)


def _is_plain(link: str) -> bool:
    """Whether an open file keeps nothing but itself."""
    if link.startswith("/"):
        return not link.endswith(_TABLES)
    return link.startswith("pipe:[") or link in _PLAIN


@cache
def _internal() -> frozenset[int]:
    """Return the mounts that the kernel has for files that are in no namespace."""
    found = set()
    with closing(socket.socket(socket.AF_UNIX)) as one:
        found |= _mount_ids(one.fileno())
    with closing(select.epoll()) as one_more:
        found |= _mount_ids(one_more.fileno())
    for fd in (*os.pipe2(os.O_CLOEXEC), os.memfd_create("umtrace")):
        found |= _mount_ids(fd)
        os.close(fd)
    return frozenset(found)


def _mount_ids(fd: int) -> set[int]:
    with suppress(OSError), open(f"/proc/self/fdinfo/{fd}") as file:  # noqa: PTH123
        return {int(line[7:]) for line in file if line.startswith("mnt_id:")}
    return set()
