"""What walks and puts show of a run: the tasks, and when the last extra reference was put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from umtrace.ebusy.runs import Run
from umtrace.model.events import ARMING_MASK, ARMING_NS_SHIFT
from umtrace.model.evidence import Walk
from umtrace.model.holders import Holder
from umtrace.model.pathcalls import OPEN_CALLS, PATH_CALLS
from umtrace.model.windows import Walker

_PLAIN_COUNT = 2
_MOST_WALKERS = 16
_WATCH_NS = 1_000_000_000
_MOST_SEEN = 20  # the probes send at most 24 walks and puts, so near that one may be missing
#: the holder of a reference that a kernel worker puts
RING = "an io_uring (kernel worker)"
_TAKES = frozenset({"legitimized", "must-put"})


@dataclass(frozen=True, slots=True)
class Release:
    """At ``at_ns``, wall clock, all extra references of the first busy check were gone."""

    at_ns: int
    extra: int
    asked_ns: int  #: the time at which the first EBUSY returned, CLOCK_MONOTONIC
    putters: tuple[tuple[int, str], ...]
    #: puts of references that were there at the check; complete only if there are ``extra`` of them
    earlier: tuple[Walk, ...] = ()
    last: Walk | None = None  #: the put that freed the mount, if it was seen
    stayed: bool = False  #: no task took another reference meanwhile, so it was the same one
    watched: bool = False  #: it was watched without a break, and no hit of the probes was skipped
    free: bool = False  #: a count of one or a successful umount shows it, not other counts
    unnumbered: bool = False  #: from a recording made before watches had numbers, within its time
    #: puts by processes that had no path walk into the mount since, and so opened no file there
    kept: tuple[Walk, ...] = ()
    skipped: bool = False  #: some hits of the probes were skipped
    shown_ns: int = 0  #: time of what shows that they were gone, wall clock: not before `at_ns`

    @property
    def all_seen(self) -> bool:
        """Whether the put of every reference that was there at the check was seen."""
        return len(self.earlier) == self.extra and not self.skipped

    @property
    def accounted(self) -> bool:
        """Whether it is known how every reference that was there at the check was put.

        In one watch without a break, two findings must agree: that none of these references is
        left, and that there were as many puts. If the mount was free, the puts that were seen are
        enough: that of a holder is one of them, and a put that was not seen had begun before the
        check.
        """
        return (self.watched and (self.free or self.all_seen)) or (
            self.unnumbered and self.all_seen
        )

    @property
    def unseen(self) -> int:
        """Number of references that were there at the check, and of which no put was seen."""
        return max(self.extra - len(self.earlier), 0)

    def later_than(self, within_ns: int) -> tuple[Walk, ...]:
        """Return the puts of these references that came later than this after the EBUSY."""
        return tuple(put for put in self.earlier if put.ts_ns - self.asked_ns > within_ns)

    def late_walks(self, within_ns: int) -> tuple[Walk, ...]:
        """Return those late puts that are of path walks."""
        return tuple(put for put in self.later_than(within_ns) if put.syscall in PATH_CALLS)

    def late_children(self, within_ns: int) -> tuple[Walk, ...]:
        """Return those late puts that are of descriptors which a child had until its execve."""
        return tuple(put for put in self.later_than(within_ns) if put.first_exec)

    def without_holder(self, within_ns: int) -> bool:
        """Whether all references are accounted for, the late ones by path walks and children."""
        passing = len(self.late_walks(within_ns)) + len(self.late_children(within_ns))
        return self.accounted and passing == len(self.later_than(within_ns))

    def maybe_opened_late(self, within_ns: int) -> tuple[Walk, ...]:
        """Return the late puts of files within that time after an open call that took long.

        That call may have opened the file, which then was held for a short time only, or failed.
        """
        slow = self.later_than(within_ns)
        opened = {put.tid: put.ts_ns for put in slow if put.syscall in OPEN_CALLS}
        return tuple(
            put
            for put in slow
            if put.syscall not in PATH_CALLS and put.ts_ns - opened.pop(put.tid, 0) <= within_ns
        )


def find_release(run: Run, offset_ns: int) -> Release | None:
    """Return when the extra references were gone; None if that was not seen.

    A count that shows it, but with puts missing, decides nothing: the mount may have been free only
    later, or never.
    """
    if run.first.refcount is None or run.first.refcount <= _PLAIN_COUNT:
        return None
    after = walks_from_the_check(run, offset_ns)
    doubtful = None
    for number, walk in enumerate(after, 1):
        free = walk.left == 1 or _succeeds(run, walk, offset_ns)
        if not (free or walk.settled):
            continue
        gone = _departed(run, after[:number], offset_ns, free=free)
        if free or gone.accounted:
            return gone
        doubtful = doubtful or gone
    return doubtful


def _succeeds(run: Run, walk: Walk, offset_ns: int) -> bool:
    """Whether it is the return of the plain umount that succeeded, by the same task."""
    if run.success is None or walk.what != "returned" or walk.tid != run.success.tid:
        return False
    return run.success.t_start <= walk.ts_ns + offset_ns <= run.success.end_ns


def _departed(run: Run, seen: Sequence[Walk], offset_ns: int, *, free: bool) -> Release:
    puts = [w for w in seen if w.what == "put"]
    earlier = tuple(w for w in puts if w.earlier)
    umounters = run.umounters
    others = [w for w in seen if w.what in _TAKES and w.tid not in umounters]
    strangers = [w for w in earlier or puts if w.tid not in umounters]
    return Release(
        at_ns=_last_put(seen).ts_ns + offset_ns,
        extra=(run.first.refcount or 0) - _PLAIN_COUNT,
        asked_ns=run.first.end_ns - offset_ns,
        putters=tuple(dict.fromkeys(who(w) for w in strangers)),
        earlier=earlier,
        last=seen[-1] if seen[-1].what == "put" else None,
        stayed=seen[-1].left == 1 and not others and len(seen) < _MOST_SEEN,
        watched=watched(run, seen[-1], offset_ns),
        free=free,
        unnumbered=_unnumbered(seen),
        kept=tuple(w for w in earlier if not w.walked and watched(run, w, offset_ns)),
        skipped=not run.seen_until(seen[-1].ts_ns),
        shown_ns=seen[-1].ts_ns + offset_ns,
    )


def watched(run: Run, last: Walk, offset_ns: int) -> bool:
    """Whether the mount was watched from the busy check of the first umount to a walk.

    The number of a watch is the time at which it began.
    """
    if last.arming is None or not run.seen_until(last.ts_ns):
        return False
    begin = (run.first.t_start - offset_ns) >> ARMING_NS_SHIFT
    checked = run.checks[0].ts_ns >> ARMING_NS_SHIFT
    return (last.arming - begin) & ARMING_MASK <= checked - begin


def _unnumbered(seen: Sequence[Walk]) -> bool:
    """Whether it is without numbers, but short enough: a watch lasts at least for that time."""
    soon = seen[-1].ts_ns - seen[0].ts_ns <= _WATCH_NS
    return soon and all(walk.arming is None for walk in seen)


def freed_at(run: Run, offset_ns: int) -> int | None:
    """Return when the mount was first seen to be free, wall clock.

    If a put shows it, it was free at that put. If the return of an umount with EBUSY shows it, it
    may have been free since the last put before that. This is known for the first umount only,
    since no put is seen before its busy check.
    """
    after = walks_from_the_check(run, offset_ns)
    end = next((number for number, walk in enumerate(after, 1) if walk.left == 1), None)
    if end is None:
        return None
    last = after[end - 1] if after[end - 1].ts_ns > run.first.end_ns - offset_ns else None
    return (last or _last_put(after[:end])).ts_ns + offset_ns


def freed_by(run: Run, offset_ns: int) -> Walk | None:
    """Return what showed first that the mount was free; None if nothing did."""
    return next((w for w in walks_from_the_check(run, offset_ns) if w.left == 1), None)


def walks_from_the_check(run: Run, offset_ns: int) -> list[Walk]:
    """Return what was seen from the busy check of the first umount on; nothing without a check."""
    if not run.checks or run.checks[0].ts_ns > run.first.end_ns - offset_ns:
        return []
    checked = run.checks[0].ts_ns
    return sorted((w for w in run.walks if w.ts_ns >= checked), key=lambda w: w.ts_ns)


def _last_put(seen: Sequence[Walk]) -> Walk:
    """Return the last put of another task; an umount that returns puts its own after those."""
    puts = [w for w in seen if w.what == "put"]
    return puts[-1] if puts else seen[-1]


def holder_of(put: Walk, detail: str) -> Holder:
    """Return the task that put a reference as its holder; of a kernel worker, an io_uring."""
    if for_a_ring(put):
        return Holder(kind="reference", detail=RING, match="probe")
    return Holder(
        kind="reference", pid=put.pid, tid=put.tid, comm=put.comm, detail=detail, match="probe"
    )


def for_a_ring(walk: Walk) -> bool:
    """Whether a kernel worker put it for another process, as it does for an io_uring."""
    return walk.comm.startswith("kworker/")


def who(walk: Walk) -> tuple[int, str]:
    """Return task id and name to show; of a kernel worker, the name of what it works for."""
    return (0, RING) if for_a_ring(walk) else (walk.tid, walk.comm)


def run_walkers(run: Run) -> tuple[Walker, ...]:
    """Return the tasks that held it for a moment, the most frequent first."""
    umounters = run.umounters
    walks = [w for w in run.walks if w.what != "returned" and w.tid not in umounters]
    takers = {w.tid for w in walks if w.what != "put"}
    counts = Counter((who(w), w.what) for w in walks if w.what != "put" or w.tid not in takers)
    probed = [
        Walker(tid=tid, comm=comm, what=what, count=count)
        for ((tid, comm), what), count in counts.most_common()
    ]
    seen = {
        (h.tid or h.pid or 0): Walker(
            tid=h.tid or h.pid or 0, comm=h.comm, what=f"seen ({h.kind})", count=h.seen
        )
        for scan in run.timely_scans()
        for h in scan.holders
        if not h.stays
    }
    return tuple((probed + list(seen.values()))[:_MOST_WALKERS])
