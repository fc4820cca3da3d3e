"""What walker records say of a run: who, and when the last extra reference went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from umtrace.ebusy.runs import Run
from umtrace.records.windows import Walker

_PLAIN_COUNT = 2
_MOST_WALKERS = 16
_TAKES = frozenset({"legitimized", "must-put"})


@dataclass(frozen=True, slots=True)
class Departure:
    """The extra references at the first busy check had all gone at ``at_ns``, wall clock."""

    at_ns: int
    extra: int
    walkers: tuple[tuple[int, str], ...]


def departure(run: Run, offset_ns: int) -> Departure | None:
    """Return when the extra references went; None where not each was seen to go."""
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
    counts = Counter((w.tid, w.comm, w.what) for w in run.walks if w.what != "put")
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
