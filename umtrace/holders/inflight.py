"""The files in flight in a Unix socket, read without receiving them."""

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

#: anonymous files that hold no other file
_PLAIN = frozenset(
    f"anon_inode:{name}"
    for name in ("[eventfd]", "[eventpoll]", "[timerfd]", "[signalfd]", "inotify", "[pidfd]")
)
#: an open mount table, which pins its namespace
_TABLES = ("/mountinfo", "/mounts", "/mountstats")


def unpacked(claim: Claim, number: int, lists: Callable[[int | None], bool]) -> Iterator[Claim]:
    """Yield a claim for each file in flight in a socket, with its mount.

    A pipe, a memfd or the like is on no mount that can be unmounted, and is left out. If some of
    the files are not known, the given claim is yielded too, which makes a suspect.

    Parameters
    ----------
    claim : Claim
        Has the process, its descriptor, and the link of the socket in /proc.
    number : int
        The number of descriptors in flight.
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
    """Whether an open file holds only its own mount."""
    if link.startswith("/"):
        return not link.endswith(_TABLES)
    return link.startswith("pipe:[") or link in _PLAIN


@cache
def _internal() -> frozenset[int]:
    """Return the ids of the mounts inside the kernel, for sockets, pipes, memfds and the like."""
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
