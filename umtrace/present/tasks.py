"""Holders that are processes, one line each with all it holds."""

from __future__ import annotations

from collections.abc import Iterable

from umtrace.model.holders import Holder
from umtrace.present.terminal import WIDTH, clean
from umtrace.present.units import plural

_MOST_FDS = 8
_FEWEST = 8  # letters of a path that are worth a place


def by_process(holders: Iterable[Holder]) -> list[list[Holder]]:
    """Return the holds of each process, in the order of the first of each."""
    found: dict[tuple[object, ...], list[Holder]] = {}
    for holder in holders:
        found.setdefault((holder.pid, holder.mntns, holder.note), []).append(holder)
    return list(found.values())


def line_of(holds: list[Holder], *, whole: bool) -> str:
    """Return one process and what it holds, with the first path; cut to the width if not whole."""
    first = holds[0]
    names = {h.comm for h in holds if h.tid in {None, h.pid}} or {first.comm}
    what = ", ".join(_things(holds))
    path = next((h.detail for h in holds if h.detail), "") or ""
    more = "" if len({h.detail for h in holds}) <= 1 else " and others"
    note = f", {first.note}" if first.note else ""
    inside = f" (mount namespace {first.mntns})" if first.of in {"copy", "superblock"} else ""
    passing = "" if any(h.stays for h in holds) else f" ({first.seen} of {first.looks} samples)"
    head = clean(f"pid {first.pid} {min(map(str, names))}: {what}")
    tail = clean(f"{more}{note}{inside}{passing}")
    room = WIDTH - 2 - len(head) - len(tail) - 1
    path = clean(path)
    if not whole and len(path) > room:
        path = f"…{path[-(room - 1) :]}" if room > _FEWEST else ""
    return f"{head} {path}{tail}" if path else f"{head}{tail}"


def _things(holds: list[Holder]) -> list[str]:
    """Return what is held, each kind once."""
    found = [k for k in ("cwd", "root", "exe") if any(h.kind == k for h in holds)]
    fds = sorted({h.fd for h in holds if h.kind == "fd" and h.fd is not None})
    if fds:
        more = f" and {len(fds) - _MOST_FDS} more" if len(fds) > _MOST_FDS else ""
        found.append("fd " + " ".join(map(str, fds[:_MOST_FDS])) + more)
    maps = sum(h.kind == "maps" for h in holds)
    found += [plural(maps, "mapped file")] if maps else []
    plain = {"cwd", "root", "exe", "fd", "maps"}
    for kind in dict.fromkeys(h.kind for h in holds if h.kind not in plain):
        same = [h for h in holds if h.kind == kind]
        fd = "" if same[0].fd is None else f" (fd {same[0].fd})"
        found.append(f"{kind}{fd}" if len(same) == 1 else f"{len(same)} {kind}")
    writers = [h for h in holds if h.writes]
    deleted = [h for h in holds if (h.detail or "").endswith(" (deleted)")]
    for those, name in ((writers, "open for writing"), (deleted, "deleted")):
        some = f" ({len(those)})" if 1 < len(those) < len(holds) else ""
        found += [f"{name}{some}"] if those else []
    tids = {h.tid for h in holds if h.tid not in {None, h.pid}}
    if tids:
        found.append(f"by {plural(len(tids), 'thread')}" + (f" ({min(filter(None, tids))})"))
    return found
