"""Who waited for the namespace lock behind whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from umtrace.teardowns.rows import Bools, Rows

_NS = pa.int64()
_FIELDS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("umount_id", _NS, "the umount that waited"),
    ("begin", pa.timestamp("ns", tz="UTC"), "when the wait began; null if that is not known"),
    ("waited_ns", _NS, "for how long"),
    ("owner", pa.string(), "whose umount it was"),
    ("path", pa.string(), "of what"),
    ("holder_tid", _NS, "task that had the lock as the wait began; null: nobody, or not known"),
    ("holder_comm", pa.string(), "its name"),
    ("holder_op", pa.string(), "what it did"),
    ("holder_umount_id", _NS, "its umount; null if it was none, or is not among the rows"),
    ("holder_path", pa.string(), "of what that was"),
    ("holder_tree_ns", _NS, "how long that had the lock"),
    ("others", pa.list_(_NS), "further umounts that had the lock during the wait, in this order"),
)
#: the table of `wait_row`
WAITS = pa.schema([pa.field(n, kind, metadata={b"doc": doc.encode()}) for n, kind, doc in _FIELDS])
#: a shorter wait is not listed
WORTH_NS = 100_000


@dataclass(frozen=True, slots=True)
class Behind:
    """One wait for the namespace lock, and who had it meanwhile.

    Attributes
    ----------
    row : int
        Place of the umount that waited.
    waited_ns : int
    tid, comm, op
        The task that had the lock as the wait began, and what it did; None is not known.
    first : int or None
        The umount by which that task had it, if it was one and is among the rows.
    others : tuple of int
        Further umounts that had it during the wait, in this order.
    """

    row: int
    waited_ns: int
    tid: int | None = None
    comm: str | None = None
    op: str | None = None
    first: int | None = None
    others: tuple[int, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether anybody is known to have had the lock."""
        return self.tid is not None or bool(self.others)


def behind(rows: Rows, which: Bools | None = None, least_ns: int = WORTH_NS) -> list[Behind]:
    """Return the waits of at least ``least_ns``, the longest first.

    Parameters
    ----------
    rows : Rows, n rows
        All that may have had the lock.
    which : ndarray of bool, shape (n,), optional
        The rows whose waits are returned; all by default.
    """
    lock = rows.of("lock_ns")
    waited = lock >= least_ns
    places = np.flatnonzero(waited if which is None else waited & which)
    places = places[np.argsort(-lock[places], kind="stable")]
    return [_behind(rows, int(at)) for at in places]


def wait_row(wait: Behind, rows: Rows, owner: str) -> dict[str, object]:
    """Return a wait as a row of `WAITS`."""
    ids, begin, first = rows.of("id"), int(rows.waits[0][wait.row]), wait.first
    return {
        "umount_id": int(ids[wait.row]),
        "begin": begin if begin >= 0 else None,
        "waited_ns": wait.waited_ns,
        "owner": owner,
        "path": rows.text("path", wait.row),
        "holder_tid": wait.tid,
        "holder_comm": wait.comm,
        "holder_op": wait.op,
        "holder_umount_id": None if first is None else int(ids[first]),
        "holder_path": None if first is None else rows.text("path", first),
        "holder_tree_ns": None if first is None else int(rows.of("tree_ns")[first]),
        "others": ids[list(wait.others)].tolist(),
    }


def _behind(rows: Rows, at: int) -> Behind:
    tid, had = int(rows.of("lock_holder_tid")[at]), rows.had_the_lock(at)
    begin = int(rows.waits[0][at])
    first = next((p for p in had if rows.of("tid")[p] == tid and rows.holds[0][p] <= begin), None)
    return Behind(
        row=at,
        waited_ns=int(rows.of("lock_ns")[at]),
        tid=tid if tid >= 0 else None,
        comm=rows.text("lock_holder_comm", at),
        op=rows.text("lock_holder_op", at),
        first=first,
        others=tuple(place for place in had if place != first),
    )
