"""The ledger: exactly what the exercise did, for comparison with what was recorded.

Written as one JSON object with one umount per line. A reader that knows its version may ignore
fields it does not know. Points in time are there as ISO 8601 and, with `_ns` in the name, as ns.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from umtrace.exercise.calls import CallLog, mode_of
from umtrace.model.clock import ClockPair, iso

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION: Final = 2  # in 1, points in time were ns only
_POINTS = ("t_start", "begin", "end", "over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Teardown:
    """The end of a mount namespace; times in ns, `t_start` since the epoch.

    `latency_ns` is exact for setns and an upper bound for an exit: from just before
    the exit until the parent saw the child dead.
    """

    how: str  #: exit: by a task in do_exit; setns: by the exercise leaving its namespace
    mntns: int
    pid: int
    tid: int
    comm: str
    t_start: int
    latency_ns: int
    n_mounts: int | None  #: mounts in the namespace, the hidden one under / included
    origin: str = "ns-exit"


@dataclass(slots=True, kw_only=True)
class Hold:
    """Somebody who kept mounts busy; times in ns since the epoch.

    ``inherited`` is a child that has not called execve yet, with its parent's descriptors;
    ``copy`` a process that has a file open in a propagated copy, in another mount namespace.
    """

    kind: str
    paths: list[str]  #: the mounts, as the one who unmounts sees them
    pid: int
    comm: str
    mntns: int
    begin: int
    end: int  #: the last moment at which the hold is known to last
    over: int  #: the first moment at which it is known to have ended


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What one run did; filled in as it goes."""

    root: str
    mntns: int
    pid: int
    kernel: str
    clock: ClockPair  #: t_start less its offset is the CLOCK_MONOTONIC time of the call
    config: dict[str, object]
    umounts: CallLog = field(default_factory=CallLog)
    ns_exits: list[Teardown] = field(default_factory=list)
    others: list[Teardown] = field(default_factory=list)  #: umounts that are no umount(2)
    holds: list[Hold] = field(default_factory=list)  #: who made umounts of layers fail
    teardown: Teardown | None = None
    walks: int = 0  #: rounds of stat and open that the walkers made
    interrupted_by: int | None = None  #: the signal that cut the run short
    complete: bool = True  #: false where calls were made that are not listed
    notes: list[str] = field(default_factory=list)

    def totals(self) -> dict[str, object]:
        """Count calls by mode, errno and origin; keys are strings as in JSON."""
        pairs, gone = self._count()
        nested: dict[str, dict[str, int]] = {}
        for (mode, errno), count in sorted(pairs.items()):
            nested.setdefault(mode, {})[str(errno)] = count
        ended = len(self.ns_exits) + (self.teardown is not None)
        return {
            "calls": len(self.umounts),
            "by_mode": {mode: sum(counts.values()) for mode, counts in nested.items()},
            "by_errno": _sum_by(pairs, 1),
            "by_mode_errno": nested,
            "by_origin": {
                "umount": len(self.umounts),
                "ns-exit": ended,
                **Counter(end.origin for end in self.others),
            },
            "by_teardown": {
                "exit": len(self.ns_exits),
                "setns": ended - len(self.ns_exits),
            },
            "mounts_gone": gone,
        }

    def _count(self) -> tuple[Counter[tuple[str, int]], int]:
        pairs: Counter[tuple[str, int]] = Counter()
        gone = 0
        for _start, _latency, _tail, _context, flags, errno, n_mounts, _retry in self.umounts.raw():
            pairs[mode_of(flags), errno] += 1
            gone += n_mounts
        return pairs, gone

    def json_chunks(self) -> Iterator[str]:
        """Yield the JSON text piece by piece, one umount a line."""
        yield json.dumps(self._head())[:-1]
        yield ',\n"umounts": ['
        for number, call in enumerate(self.umounts):
            yield (",\n" if number else "\n") + json.dumps(_plain(call))
        yield "],\n"
        yield json.dumps(self._tail())[1:]

    def to_json(self) -> str:
        """Return the whole ledger as JSON."""
        return "".join(self.json_chunks())

    def _head(self) -> dict[str, object]:
        return {
            "version": VERSION,
            "root": self.root,
            "mntns": self.mntns,
            "pid": self.pid,
            "kernel": self.kernel,
            "clock": asdict(self.clock),
            "config": self.config,
        }

    def _tail(self) -> dict[str, object]:
        return {
            "ns_exits": [_plain(end) for end in self.ns_exits],
            "others": [_plain(end) for end in self.others],
            "holds": [_plain(hold) for hold in self.holds],
            "teardown": None if self.teardown is None else _plain(self.teardown),
            "walks": self.walks,
            "interrupted_by": self.interrupted_by,
            "complete": self.complete,
            "notes": self.notes,
            "totals": self.totals(),
        }


def _plain(found: DataclassInstance) -> dict[str, Any]:
    """Return the fields, and of a point in time both forms."""
    fields = asdict(found).items()
    both = ({k: iso(v), f"{k}_ns": v} if k in _POINTS else {k: v} for k, v in fields)
    return {name: value for each in both for name, value in each.items()}


def _sum_by(pairs: Counter[tuple[str, int]], part: int) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for key, count in sorted(pairs.items(), key=lambda item: item[0][part]):
        sums[str(key[part])] += count
    return dict(sums)
