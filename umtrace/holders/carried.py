"""What descriptors hold that are no files: io_uring, sockets, fanotify, fsopen, perf events."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from umtrace.holders import procfs
from umtrace.holders.claims import Claim
from umtrace.holders.mounts import unescape
from umtrace.holders.peek import unread_bytes
from umtrace.holders.procfs import Open, fdinfo
from umtrace.kernel.uprobes import probed_file
from umtrace.model.devices import device_name

_SOCKET = "socket:["
RING = "anon_inode:[io_uring]"
_FANOTIFY = "anon_inode:[fanotify]"
_CONTEXT = "anon_inode:[fscontext]"
_EVENT = "anon_inode:[perf_event]"
_REGISTERED = re.compile(r"^ *\d+: (.*)$")
_RING_TRIES = 20
_RING_WORKER = "+iou_exit"
#: it is gone, or its program is of a kind that no uprobe has (bpf_get_perf_event_info)
_NO_UPROBE = frozenset({errno.EBADF, errno.ESRCH, errno.EOPNOTSUPP})
_UPROBES = Path("/sys/bus/event_source/devices/uprobe")
#: flags (all but FAN_REPORT_TID 0x100) of groups that report ids: their events hold no open file
_BY_NUMBER = 0x200 | 0x400 | 0x1000 | 0x4000  # FID, DIR_FID, TARGET_FID, MNT


def may_carry(path: str) -> bool:
    """Whether a descriptor may hold other files, by its link in /proc/PID/fd."""
    return path.startswith(_SOCKET) or path in _READERS


def carried(opened: Open, *, ask: bool) -> Iterator[Claim]:
    """Yield what a descriptor holds, or may hold.

    ``ask`` allows to take a copy of the descriptor of another task for a moment.
    """
    reader = _in_flight if opened.path.startswith(_SOCKET) else _READERS[opened.path]
    yield from reader(opened, ask)


def waiting(opened: Open) -> int:
    """Return how many descriptors a socket has not received; 0 if the kernel does not report it."""
    number = _field(fdinfo(opened), "scm_fds")
    return int(number) if number.isdigit() else 0


def _in_flight(opened: Open, _ask: bool) -> Iterator[Claim]:
    if number := waiting(opened):
        note = f"{number} descriptor{'' if number == 1 else 's'} sent to it, not received"
        yield Claim(kind="in-flight", pid=opened.pid, fd=opened.fd, detail=opened.path, note=note)


def _ring(opened: Open, _ask: bool) -> Iterator[Claim]:
    files = registered(opened)
    if files is None:
        detail = "files registered in a ring; their list is locked"
        yield Claim(kind="io-uring", pid=opened.pid, fd=opened.fd, detail=detail)
    for name in files or ():
        place = name if name.startswith("/") else ""
        detail = name if place else f"a file named {name} (the kernel reports no more)"
        yield Claim(kind="io-uring", pid=opened.pid, fd=opened.fd, path=place, detail=detail)


def registered(opened: Open) -> list[str] | None:
    """Return the registered files of a ring that may be on a mount; None while it is in use.

    Linux 6.18 shows whole paths. 6.12 shows the last component: for sockets and pipes that is
    empty or the name of a protocol.
    """
    for _ in range(_RING_TRIES):
        text = fdinfo(opened)
        found = list(_files(text.split("\n")))
        if found or _field(text, "UserFiles") == "0" or not text:
            return [name for name in found if _is_file(name)]
    return None


def closed_rings(pids: Iterable[int]) -> Iterator[Claim]:
    """Yield the rings of processes that have only its memory, no descriptor (registered rings)."""
    for pid in pids:
        detail = "files registered in a ring that has no open descriptor"
        yield Claim(kind="io-uring", pid=pid, detail=detail)


def ring_workers() -> Iterator[Claim]:
    """Yield the workers that end the rings of ended tasks (io_ring_exit_work)."""
    for pid in procfs.pids():
        name = procfs.comm(pid) or ""
        if name.startswith("kworker/") and name.endswith(_RING_WORKER):
            detail = "the ring of a task that has ended"
            yield Claim(kind="io-uring-exit", pid=pid, comm=name, detail=detail)


def _files(lines: Sequence[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        match = _REGISTERED.match(line)
        if line.startswith("UserFiles"):
            inside = True
        elif not match:
            inside = False
        if inside and match:
            yield unescape(match[1])


def _is_file(name: str) -> bool:
    return name not in {"", "<none>"} | _protocols() and ":[" not in name and name[:1] != "["


def _protocols() -> set[str]:
    with suppress(OSError), open("/proc/net/protocols", encoding="ascii") as file:  # noqa: PTH123
        return {line.split()[0] for line in file if line.strip()}
    return set()


def _watcher(opened: Open, ask: bool) -> Iterator[Claim]:
    lines = [line for line in fdinfo(opened).split("\n") if line.startswith("fanotify ")]
    marks = [dict(word.split(":", 1) for word in line.split()[1:] if ":" in word) for line in lines]
    if any(int(mark.get("flags", "0"), 16) & _BY_NUMBER for mark in marks):
        return
    unread = unread_bytes(opened.pid, opened.fd or 0) if ask else None
    if unread == 0:
        return
    detail = "events that it has not read"
    claim = Claim(kind="fanotify", pid=opened.pid, fd=opened.fd, detail=detail)
    found = {_place(claim, mark) for mark in marks if "mnt_id" in mark or "sdev" in mark}
    if len(found) == 1 and unread and (one := found.copy().pop()).mnt_id is not None:
        yield one
    else:
        yield from (replace(each, sure=False) for each in found)
    if unread and not found:  # events of marks that were removed
        yield claim


def _place(claim: Claim, mark: dict[str, str]) -> Claim:
    if "mnt_id" in mark:
        return replace(claim, mnt_id=int(mark["mnt_id"], 16))
    return replace(claim, dev=device_name(int(mark["sdev"], 16)))


def _context(opened: Open, _ask: bool) -> Iterator[Claim]:
    detail = "a file system that is being set up"
    yield Claim(kind="fscontext", pid=opened.pid, fd=opened.fd, detail=detail)


def _event(opened: Open, _ask: bool) -> Iterator[Claim]:
    claim = Claim(kind="perf-uprobe", pid=opened.pid, fd=opened.fd)
    if not _UPROBES.exists():
        return
    try:
        path = probed_file(opened.pid, opened.fd or 0)
    except OSError as error:
        if error.errno not in _NO_UPROBE and opened.still():
            yield replace(claim, note=f"perf event that may be a uprobe ({error.strerror})")
    else:
        if path is not None:
            yield replace(claim, path=path)


def _field(text: str, name: str) -> str:
    for line in text.split("\n"):
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    return ""


_READERS: dict[str, Callable[[Open, bool], Iterator[Claim]]] = {
    RING: _ring,
    _FANOTIFY: _watcher,
    _CONTEXT: _context,
    _EVENT: _event,
}
