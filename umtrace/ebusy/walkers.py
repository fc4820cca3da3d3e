"""What walker records say of a run: who, and when the last extra reference went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from umtrace.ebusy.runs import Run
from umtrace.records.clues import Walk
from umtrace.records.windows import Walker

_PLAIN_COUNT = 2
_MOST_WALKERS = 16
_MOST_SEEN = 48  # near the most that is sent of one mount, somebody may be missing
_TAKES = frozenset({"legitimized", "must-put"})


@dataclass(frozen=True, slots=True)
class Departure:
    """The extra references at the first busy check had all gone at ``at_ns``, wall clock."""

    at_ns: int
    extra: int
    walkers: tuple[tuple[int, str], ...]
    last: Walk | None = None  #: the put that freed the mount, where it was seen
    stayed: bool = False  #: nobody took another reference meanwhile: it was the same one


def departure(run: Run, offset_ns: int) -> Departure | None:
    """Return when the extra references had gone; None where that was not seen."""
    return _counted(run, offset_ns) or _balanced(run, offset_ns)


def _counted(run: Run, offset_ns: int) -> Departure | None:
    """Go by the counts made at puts, and at the return of the busy umount."""
    if not run.checks or run.first.refcount is None or run.first.refcount <= _PLAIN_COUNT:
        return None
    checked = run.checks[0].ts_ns
    after = sorted((w for w in run.walks if w.ts_ns >= checked), key=lambda w: w.ts_ns)
    free = next((i for i, w in enumerate(after) if w.left == 1), None)
    if free is None:
        return None
    seen = after[: free + 1]
    puts = [w for w in seen if w.what == "put"]
    if seen[-1].what == "returned":  # the umount's own reference went after theirs
        at = puts[-1].ts_ns if puts else seen[-1].ts_ns
    else:
        at = seen[-1].ts_ns
    others = [w for w in seen if w.what in _TAKES and w.tid != run.first.tid]
    return Departure(
        at_ns=at + offset_ns,
        extra=run.first.refcount - _PLAIN_COUNT,
        walkers=tuple(dict.fromkeys((w.tid, w.comm) for w in puts)),
        last=puts[-1] if puts else None,
        stayed=not others and len(seen) < _MOST_SEEN,
    )


def _balanced(run: Run, offset_ns: int) -> Departure | None:
    """Go by who took a reference before the check and put it since."""
    if run.first.refcount is None or run.first.refcount <= _PLAIN_COUNT:
        return None
    extra = run.first.refcount - _PLAIN_COUNT
    asked = run.first.t_start - offset_ns
    known = run.first.end_ns - offset_ns
    inside: Counter[tuple[int, str]] = Counter()
    last, counted = 0, 0
    for walk in sorted(run.walks, key=lambda w: w.ts_ns):
        who = (walk.tid, walk.comm)
        if walk.what in _TAKES and walk.ts_ns <= known:
            inside[who] += 1
        elif walk.what == "put" and inside[who] > 0:
            inside[who] -= 1
            if walk.ts_ns >= asked:
                last, counted = max(last, walk.ts_ns), counted + 1
                if counted == extra:
                    names = tuple(who for who in inside)
                    return Departure(last + offset_ns, extra, names)
    return None


def run_walkers(run: Run) -> tuple[Walker, ...]:
    """Return who held it for a moment, the most frequent first."""
    walks = [w for w in run.walks if w.what != "returned" and w.tid != run.first.tid]
    takers = {w.tid for w in walks if w.what != "put"}
    counts = Counter(
        (w.tid, w.comm, w.what) for w in walks if w.what != "put" or w.tid not in takers
    )
    probed = [
        Walker(tid=tid, comm=comm, what=what, count=count)
        for (tid, comm, what), count in counts.most_common()
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
