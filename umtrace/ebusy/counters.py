"""Counts how often path walkers met a dying mount, for which an umount has its RCU wait."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from umtrace.model.arrow import number, text

_ZERO = number(0, pa.int32())


#: the row columns that are counted
COUNTED = ("errno", "mode", "final_put", "n_discounted", "n_legitimized", "n_held")


@dataclass(slots=True)
class WalkCounters:
    """Totals over umounts; None if no tier could see it.

    Attributes
    ----------
    umounts : int
        Successful umount calls.
    discounted : int or None
        Walkers that saw the dying mount and backed off (``__legitimize_mnt`` returned 1).
    must_put : int or None
        Walkers that took a reference and had to put it themselves (it returned -1):
        ``n_legitimized``.
    met : int or None
        Umounts in which a walker met the dying mount.
    puts_known, stolen : int or None
        Plain umounts whose final put was seen, and those in which another task did it.
    held_known, held : int or None
        Umounts of which the holders were counted, and those with a mount that somebody else held.
    """

    umounts: int = 0
    discounted: int | None = None
    must_put: int | None = None
    met: int | None = None
    puts_known: int | None = None
    stolen: int | None = None
    held_known: int | None = None
    held: int | None = None

    def add(self, rows: pa.RecordBatch) -> None:
        """Count a batch of umount rows."""
        rows = rows.select(COUNTED)  # first, since a filter copies every column
        good = rows.filter(pc.equal(rows.column("errno"), _ZERO))
        self.umounts += good.num_rows
        self.discounted = _plus(self.discounted, _sum(good, "n_discounted"))
        self.must_put = _plus(self.must_put, _sum(good, "n_legitimized"))
        self.met = _plus(self.met, _met(good))
        self._add_puts(good)
        counted = good.column("n_held").drop_null()
        if len(counted):
            self.held_known = _plus(self.held_known, len(counted))
            self.held = _plus(self.held, pc.greater(counted, _ZERO).true_count)

    def _add_puts(self, rows: pa.RecordBatch) -> None:
        plain = rows.filter(pc.equal(rows.column("mode"), text(["sync"])[0]))
        put = plain.column("final_put").drop_null()
        if len(put):
            self.puts_known = _plus(self.puts_known, len(put))
            stolen = pc.is_in(put, text(["other", "kworker"]))
            self.stolen = _plus(self.stolen, stolen.true_count)

    def to_dict(self) -> dict[str, int | None]:
        """Return the numbers as a dictionary for JSON."""
        return asdict(self)


def _met(rows: pa.RecordBatch) -> int | None:
    column = rows.column("n_discounted")
    if column.null_count == len(column):
        return None
    return int(pc.greater(column, _ZERO).true_count)


def _sum(rows: pa.RecordBatch, name: str) -> int | None:
    value = pc.sum(rows.column(name)).as_py()
    return None if value is None else int(value)


def _plus(left: int | None, right: int | None) -> int | None:
    return left if right is None else right + (left or 0)
