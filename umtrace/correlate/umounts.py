"""The stage that turns event batches into Umount rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.correlate.fields import FieldName
from umtrace.correlate.mountpoints import reverse_components
from umtrace.correlate.names import NameStore
from umtrace.correlate.operations import group
from umtrace.correlate.rows import build_rows
from umtrace.correlate.table import Ops
from umtrace.correlate.tails import TailKeeper
from umtrace.correlate.texts import Texts
from umtrace.correlate.unfinished import PHASES, standing
from umtrace.model.events import FOREIGN, Array, EventBatch, Kind, NameKind, Origin
from umtrace.model.hangs import Standing
from umtrace.model.losses import LossReport
from umtrace.model.tiers import tier_named
from umtrace.model.umounts import empty_rows
from umtrace.owners.resolve import Owners

MAX_OPEN = 65536
AT_ONCE = 65536


class UmountCorrelator:
    """Takes batches and returns rows; pure, deterministic, bounded.

    The same events give the same rows in the same order, with any split into batches, as long as
    no more than ``max_open`` operations are open at the same time.

    Parameters
    ----------
    clock_offset_ns : int
        Wall clock minus CLOCK_MONOTONIC.
    tier : str
        The name of the tier, in every row.
    owners : Owners, optional
        Whose umounts they are; by default what their paths say.
    waits_always : bool
        Whether the kernel waits for a grace period in every teardown (`probes.on_demand`).
    """

    def __init__(
        self,
        *,
        clock_offset_ns: int,
        tier: str,
        owners: Owners | None = None,
        max_open: int = MAX_OPEN,
        waits_always: bool = True,
    ) -> None:
        self._clock_offset_ns = clock_offset_ns
        self._tier = tier
        self._owners = owners or Owners()
        self._max_open = max_open
        self._waits_always = waits_always
        self._open = Ops()
        self._tails = TailKeeper()
        self._names = NameStore()
        self._next_id = 0
        self._unmatched = 0
        self._incomplete = 0

    def feed(self, batch: EventBatch) -> pa.RecordBatch:
        """Take one batch and return the rows that it completes (``model.umounts.SCHEMA``)."""
        self._names.add(batch.names)
        rows = self._feed_chunk(batch.events[:AT_ONCE])
        for first in range(AT_ONCE, len(batch.events), AT_ONCE):
            rows += self._feed_chunk(batch.events[first : first + AT_ONCE])
        self._names.forget()
        return rows[0] if len(rows) == 1 else _joined(rows)

    def _feed_chunk(self, events: Array) -> list[pa.RecordBatch]:
        """Take a part of a batch, so small that its arrays fit into the processor's cache."""
        foreign = np.flatnonzero(events["cpu"] & FOREIGN)
        grouped = group(events, self._open, foreign)
        self._open = grouped.still_open
        rows = self._rows(self._tails.settle(grouped.complete, events, foreign))
        if len(self._open) <= self._max_open:
            return [rows]
        return [rows, self._rows(self._evict(), why_open="evicted")]

    def finish(self) -> pa.RecordBatch:
        """Return held and open operations, the latter as incomplete rows; the oldest come first."""
        rest, self._open = self._open, Ops()
        return self._rows(Ops.joined([self._tails.rest(), rest.ordered("t_first")]))

    def unfinished(self, before_ns: int) -> tuple[pa.RecordBatch, list[Standing]]:
        """Return the open operations that began before a time, as rows, and where each is.

        Parameters
        ----------
        before_ns : int
            CLOCK_MONOTONIC.

        Returns
        -------
        rows : pyarrow.RecordBatch
            ``model.umounts.SCHEMA``; ``id`` is the position in both.
        where : list of Standing
        """
        ops = self._open.take(self._open["t_first"] <= before_ns)
        if not len(ops):
            return empty_rows(), []
        rows = build_rows(
            ops,
            first_id=0,
            clock_offset_ns=self._clock_offset_ns,
            tier=self._tier,
            paths=self._peeked(ops, NameKind.PATH, "t_first"),
            sources=self._peeked(ops, NameKind.SOURCE, "t_mount"),
            mountpoints=reverse_components(
                self._peeked(ops, NameKind.MOUNTPOINT, "t_mount"), np.zeros(len(ops), np.bool_)
            ),
            owners=self._owners,
            waits_always=self._waits_always,
            preview=True,
        )
        by_function = bool(tier_named(self._tier).probes_every_function)
        phases, since = standing(ops, by_function=by_function)
        columns = (ops["task"], ops["t_first"], phases, since)
        return rows, [
            Standing(task=task, begun_ns=begun, phase=PHASES[phase], since_ns=ns)
            for task, begun, phase, ns in zip(*(c.tolist() for c in columns), strict=True)
        ]

    def _peeked(self, ops: Ops, kind: NameKind, time: FieldName) -> Texts:
        return self._names.peek(kind, ops["tid"], ops[time].view(np.uint64))

    def losses(self) -> LossReport:
        """Return the losses that this stage counts."""
        return LossReport(
            unmatched_events=self._unmatched,
            incomplete_rows=self._incomplete,
            names_forgotten=self._names.forgotten,
            tails_forgotten=self._tails.forgotten,
        )

    @property
    def n_open(self) -> int:
        """Number of open operations."""
        return len(self._open)

    def _evict(self) -> Ops:
        by_age = np.argsort(self._open["t_first"], kind="stable")
        surplus = by_age[: len(by_age) - self._max_open]
        evicted = self._open.take(surplus)
        self._open = self._open.take(~np.isin(np.arange(len(by_age)), surplus))
        return evicted

    def _rows(self, ops: Ops, why_open: str = "running") -> pa.RecordBatch:
        if not len(ops):
            return empty_rows()
        rows = build_rows(
            ops,
            first_id=self._next_id,
            clock_offset_ns=self._clock_offset_ns,
            tier=self._tier,
            paths=self._take_names(ops, NameKind.PATH, "t_first", ops["opener"] == Kind.ENTER),
            sources=self._take_names(ops, NameKind.SOURCE, "t_mount", ops["t_mount"] > 0),
            mountpoints=self._mountpoints(ops),
            owners=self._owners,
            waits_always=self._waits_always,
            why_open=why_open,
        )
        self._next_id += len(ops)
        self._unmatched += int(ops["n_events"][ops["opener"] == 0].sum())
        self._incomplete += len(ops) - rows.column("complete").true_count
        return rows

    def _mountpoints(self, ops: Ops) -> Texts:
        spelled = self._take_names(ops, NameKind.MOUNTPOINT, "t_mount", ops["t_mount"] > 0)
        # A mount that ends with its descriptor is detached: its top is not the root of a namespace.
        teardown = ops["opener"] == Kind.TEARDOWN
        return reverse_components(spelled, teardown & (ops["flags"] == Origin.FD_CLOSE))

    def _take_names(
        self, ops: Ops, kind: NameKind, time: FieldName, has: npt.NDArray[np.bool_]
    ) -> Texts:
        return self._names.take(kind, ops["tid"], np.where(has, ops[time], 0).view(np.uint64))


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return all rows as one batch; ``pa.concat_batches`` came with pyarrow 19."""
    batches = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return batches[0] if batches else empty_rows()
