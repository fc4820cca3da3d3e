"""How many references made a mount busy, and how many of them the holders that were found explain.

Both are exact or not known, or at least so many: a reference counts as named only if it is known to
be one of those that the busy check counted, and not one of another holder's as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from umtrace.ebusy.releases import walks_from_the_check, watched
from umtrace.ebusy.runs import Run
from umtrace.model.evidence import Walk
from umtrace.model.holders import Holder, HolderScan
from umtrace.model.pathcalls import PATH_CALLS

_PLAIN_COUNT = 2  # one for being mounted, one for umount's own path walk
_TWICE = 2  # a count without its lock is believed if it was made twice
_WATCH_NS = 1_000_000_000
#: beyond so many puts and walks of a watch the probes send no more; see bpf/armed.h
_MOST_EARLIER, _MOST_OTHERS = 64, 24
_DIRECTORIES = frozenset({"cwd", "root"})
_FILES = frozenset({"fd", "exe", "maps", "loop", "swap"})
_OTHERS = frozenset({"socket"})


@dataclass(frozen=True, slots=True)
class Account:
    """The references of the first EBUSY beyond those that umount allows; None is not known.

    ``named`` is how many of them the holders of ``scan`` have, at least.
    """

    refs: int | None = None
    named: int | None = None
    scan: HolderScan | None = None
    whole: bool = False  #: nothing that a look can see has more of them

    @property
    def rest(self) -> int | None:
        """How many are not named."""
        return None if self.refs is None or self.named is None else self.refs - self.named

    @property
    def blind(self) -> tuple[str, ...]:
        """What the scan could not look at."""
        return self.scan.blind if self.scan is not None else ()


def account_of(run: Run, offset_ns: int) -> Account:
    """Return what is known of the references of a run's first EBUSY."""
    refs = _counted_twice(run, offset_ns)
    if refs is None:
        return Account()
    for scan in run.timely_scans():
        found = _Named(run, scan, refs, offset_ns)
        if found.n is not None and found.n <= refs:
            return Account(refs, found.n, scan, found.whole)
    return Account(refs)


def _counted_twice(run: Run, offset_ns: int) -> int | None:
    """Return the references at the busy check, if as many were there when umount returned."""
    if not run.checks or run.first.refcount is None or run.first.refcount <= _PLAIN_COUNT:
        return None
    check, end = run.checks[0], run.first.end_ns - offset_ns
    if (check.site, check.refcount, check.tid) != ("refcount", run.first.refcount, run.first.tid):
        return None
    back = (w for w in walks_from_the_check(run, offset_ns) if w.what == "returned")
    left = next((w.left for w in back if w.tid == check.tid and w.ts_ns <= end), None)
    refs = check.refcount - _PLAIN_COUNT if check.refcount is not None else None
    return refs if left is not None and left - 1 == refs else None


class _Named:
    """The references that the holders of a scan have; ``n`` is None if nothing can be said."""

    def __init__(self, run: Run, scan: HolderScan, refs: int, offset_ns: int) -> None:
        self._run, self._scan, self._refs, self._offset = run, scan, refs, offset_ns
        self._seen = [
            walk
            for walk in walks_from_the_check(run, offset_ns)
            if walk.ts_ns + offset_ns <= scan.end_ns
        ]
        quiet = self._quiet()
        known = quiet or self._counted_while_sampled()
        self.n = _distinct(scan.holders, quiet=quiet) if known else None
        self.whole = quiet and scan.complete and all(map(_is_exact, scan.holders))

    def _counted_while_sampled(self) -> bool:
        """Whether, while the holders were sampled, there were the same references as at the check.

        Reading a link takes a reference and puts it, and that put tells the count. If none of the
        references of the check was put before it, and there are as many, they are the same.
        """
        sampled = self._scan.sampled_ns
        begin, end = sampled if len(sampled) == 2 else (0, -1)  # noqa: PLR2004
        counts = [
            walk
            for walk in self._seen
            if self._is_own(walk)
            and walk.earlier
            and begin <= walk.ts_ns + self._offset <= end
            and walk.left == self._refs + 1
            and watched(self._run, walk, self._offset)
        ]
        if len(counts) < _TWICE:
            return False
        until = counts[_TWICE - 1].ts_ns
        return not any(walk.ts_ns <= until and self._is_a_loss(walk) for walk in self._seen)

    def _is_a_loss(self, walk: Walk) -> bool:
        return walk.settled or (walk.earlier and not self._is_own(walk))

    def _is_own(self, walk: Walk) -> bool:
        """Whether one of those who looked puts what it took in the same call."""
        if walk.what != "put" or walk.pid not in self._scan.readers:
            return False
        return not walk.earlier or walk.syscall is None or walk.syscall in PATH_CALLS

    def _quiet(self) -> bool:
        """Whether nobody walked into the mount, and none left it, from the check to the scan's end.

        Then all that the scan found was there at the check.
        """
        scan, checked = self._scan, self._run.checks[0].ts_ns
        end = scan.end_ns - self._offset
        begun = any(
            w.what == "returned" and watched(self._run, w, self._offset) for w in self._seen
        )
        if not scan.readers or not begun or end - checked > _WATCH_NS:
            return False
        if not self._run.alone(checked, end):
            return False
        earlier = sum(walk.earlier for walk in self._seen)
        others = sum(not walk.earlier for walk in self._seen)
        if earlier >= _MOST_EARLIER or others >= _MOST_OTHERS:
            return False
        return all(walk.what == "returned" or self._is_own(walk) for walk in self._seen)


def _distinct(holders: Sequence[Holder], *, quiet: bool) -> int:
    """Return how many references the holders have, at least.

    Without ``quiet`` only those count that were sampled. A mapping may be of a file that is also
    open: of one path, all that has no number is counted as one, and as none beside an open file.
    """
    found: set[tuple[object, ...]] = set()
    rest: set[tuple[object, ...]] = set()
    for holder in holders:
        group = _group(holder)
        if not holder.stays or holder.of != "mount" or group is None:
            continue
        place = (group, _path(holder))
        if holder.ref is not None:
            found.add((*place, holder.ref))
        elif quiet:
            rest.add(place)
    return len(found) + len(rest - {place[:2] for place in found})


def _group(holder: Holder) -> str | None:
    """Return a name for what may share a reference; None: not known how many it has."""
    if holder.kind in _FILES:
        return "file"
    return holder.kind if holder.kind in _DIRECTORIES | _OTHERS else None


def _path(holder: Holder) -> str:
    return (holder.detail or "").removesuffix(" (deleted)")


def _is_exact(holder: Holder) -> bool:
    """Whether it cannot have more references than are counted."""
    return holder.ref is not None and holder.stays
