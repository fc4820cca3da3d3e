"""One teardown: its numbers, and the table of all of them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from umtrace.stats.buckets import Int64
from umtrace.teardowns.owner import Owner
from umtrace.teardowns.path import Step, critical_path
from umtrace.teardowns.rows import Bools, Rows

_NS = pa.int64()
_TIME = pa.timestamp("ns", tz="UTC")
_FIELDS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("owner", pa.string(), "whose umounts: a container, pod, unit, or an inode of a namespace"),
    ("owner_kind", pa.string(), "what the owner is"),
    ("owner_by", pa.string(), "how that is known"),
    ("begin", _TIME, "begin of the first umount"),
    ("end", _TIME, "end of the last umount"),
    ("duration_ns", _NS, "from begin to end"),
    ("umounts", _NS, "umounts, failed ones and ends of namespaces included"),
    ("failed", _NS, "umounts that failed"),
    ("retries", _NS, "umounts of a path after one of it had failed with EBUSY"),
    ("ns_ends", _NS, "mount namespaces that were seen to end"),
    ("mounts", _NS, "mounts taken down; null if that of any umount is not known"),
    ("gp_in_row", _NS, "grace periods on the critical path, one after the other"),
    ("gp_in_row_ns", _NS, "their sum"),
    ("gp_unknown", _NS, "umounts on the path of which the RCU wait is not known"),
    ("gp_ns", _NS, "RCU wait of all umounts; null if it is known of none"),
    ("lock_ns", _NS, "wait for the namespace lock, of all umounts; null if it is known of none"),
    ("shutdowns", _NS, "umounts with a file system shutdown; null if only a bound is known"),
    ("shutdown_ns", _NS, "file system shutdown of all umounts; null if it is known of none"),
    ("parallelism", pa.float64(), "umounts at once, on average over the time in any umount"),
    ("path", pa.list_(_NS), "ids of the umounts on the critical path, in the order of time"),
    ("path_inferred", _NS, "steps of the path that are inferred from the order of time alone"),
    ("outside_ns", _NS, "time between the steps of the path, in no umount of theirs"),
    ("saved_ns", _NS, "gp_in_row_ns less the longest; null if the gp_seq of any is null"),
    ("exact", pa.bool_(), "false where a latency is an upper bound or approximate"),
)  # fmt: skip
SCHEMA = pa.schema([pa.field(n, kind, metadata={b"doc": doc.encode()}) for n, kind, doc in _FIELDS])


@dataclass(frozen=True)
class Teardown:
    """The umounts of one owner that belong together.

    Attributes
    ----------
    owner : Owner
    scene : Rows, n rows
        All umounts that overlap it, its own among them.
    mine : ndarray of bool, shape (n,)
        Its own.
    """

    owner: Owner
    scene: Rows
    mine: Bools

    @cached_property
    def rows(self) -> Rows:
        """Its umounts, in the order of their begin."""
        rows = self.scene.take(self.mine)
        return rows.take(rows.begin.argsort(kind="stable"))

    @property
    def begin(self) -> int:
        """Begin of the first umount, ns of UTC."""
        return int(self.rows.begin.min())

    @property
    def end(self) -> int:
        """End of the last umount."""
        return int(self.rows.end.max())

    @cached_property
    def path(self) -> list[Step]:
        """The critical path; places are those of ``scene``."""
        return critical_path(self.scene, self.mine)

    @cached_property
    def path_waits(self) -> list[tuple[int, int]]:
        """(RCU wait in ns, number of the grace period) of each step with one; -1 is unknown."""
        whole = [step.row for step in self.path if step.is_whole]
        rcu, seq = self.scene.of("rcu_ns"), self.scene.of("gp_seq")
        return [(int(rcu[row]), int(seq[row])) for row in whole if rcu[row] != 0]

    @property
    def saved_ns(self) -> int | None:
        """What one grace period for all would have saved on the path; None: not known."""
        longest: dict[int, int] = {}
        if len(self.path_waits) == 1 and self.path_waits[0][0] >= 0:
            return 0
        for rcu, seq in self.path_waits:
            if rcu < 0 or seq < 0:
                return None
            longest[seq] = max(longest.get(seq, 0), rcu)
        return sum(longest.values()) - max(longest.values(), default=0)

    def numbers(self) -> dict[str, object]:
        """Return the values of `SCHEMA`; None is not known."""
        rows, known = self.rows, [rcu for rcu, _ in self.path_waits if rcu >= 0]
        return {
            "owner": self.owner.name,
            "owner_kind": self.owner.kind,
            "owner_by": self.owner.by,
            "begin": self.begin,
            "end": self.end,
            "duration_ns": self.end - self.begin,
            "umounts": len(rows),
            "failed": int((rows.of("errno") > 0).sum()),
            "retries": retries(rows),
            "ns_ends": int(rows.is_one_of("origin", ["ns-exit"]).sum()),
            "mounts": _whole_sum(rows.of("n_mounts")),
            "gp_in_row": len(known),
            "gp_in_row_ns": sum(known),
            "gp_unknown": len(self.path_waits) - len(known),
            "gp_ns": _known_sum(rows.of("rcu_ns")),
            "lock_ns": _known_sum(rows.of("lock_ns")),
            "shutdowns": _shutdowns(rows),
            "shutdown_ns": _known_sum(rows.of("shutdown_ns")),
            "parallelism": parallelism(rows.begin, rows.end),
            "path": self.scene.of("id")[[step.row for step in self.path]].tolist(),
            "path_inferred": sum(step.link.value == "order" for step in self.path),
            "outside_ns": sum(step.pause_ns for step in self.path),
            "saved_ns": self.saved_ns,
            "exact": bool(rows.is_one_of("latency_bound", ["exact"]).all()),
        }


def to_batch(teardowns: Sequence[Teardown]) -> pa.RecordBatch:
    """Return teardowns as rows of `SCHEMA`."""
    return pa.RecordBatch.from_pylist([each.numbers() for each in teardowns], schema=SCHEMA)


def retries(rows: Rows) -> int:
    """Return how many umounts came after an EBUSY of the same path and namespace.

    After EAGAIN nothing is tried again: the first of two MNT_EXPIRE only marks the mount.
    """
    where, failed = rows.codes("mntns", "path"), rows.of("errno") == errno.EBUSY
    named = rows.codes("path") != _null_code(rows, "path")
    number, broken = 0, set()
    for at in rows.begin.argsort(kind="stable").tolist():
        if not named[at]:
            continue
        number += int(where[at]) in broken
        broken |= {int(where[at])} if failed[at] else set()
    return number


def parallelism(begin: Int64, end: Int64) -> float | None:
    """Return how many of the intervals there are at once, over the time in which there is any."""
    order = begin.argsort(kind="stable")
    covered, reached = 0, int(begin[order[0]])
    for at in order.tolist():
        covered += max(int(end[at]) - max(int(begin[at]), reached), 0)
        reached = max(reached, int(end[at]))
    return float((end - begin).sum() / covered) if covered else None


def _null_code(rows: Rows, column: str) -> int:
    null = rows.batch.column(column).is_null().to_pylist()
    return int(rows.codes(column)[null.index(True)]) if True in null else -1


def _whole_sum(values: Int64) -> int | None:
    return int(values.sum()) if (values >= 0).all() else None


def _known_sum(values: Int64) -> int | None:
    known = values[values >= 0]
    return int(known.sum()) if known.size else None


def _shutdowns(rows: Rows) -> int | None:
    """Count shutdowns; where the end is a bound only, so is the time of each of them."""
    if rows.is_one_of("latency_bound", ["upper"]).any():
        return None
    return int((rows.of("shutdown_ns") > 0).sum())
