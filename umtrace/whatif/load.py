"""A recorded load as arrays: what each umount did, and when its task began the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import Bools, integers
from umtrace.model.errors import DamagedInputError
from umtrace.model.umounts import SCHEMA
from umtrace.stats.buckets import Int64
from umtrace.stats.groups import encode

#: the columns that are read
COLUMNS = (
    "t_start",
    "latency_ns",
    "tid",
    "origin",
    "mode",
    "errno",
    "n_mounts",
    "n_held",
    "lookup_ns",
    "lock_ns",
    "tree_ns",
    "rcu_ns",
    "put_ns",
    "shutdown_ns",
    "rcu_kind",
    "gp_seq",
    "n_legitimized",
    "n_discounted",
    "fstype",
    "dev",
)

_PHASES = ("lookup_ns", "lock_ns", "tree_ns", "rcu_ns", "put_ns", "shutdown_ns")
#: of all umounts together, which is more than a year
_LONGEST_NS = 2.0**55
#: values of ``Load.kind``
SYNC, LAZY, TEARDOWN = range(3)
#: values of ``Load.held``
UNKNOWN, FREE, HELD = -1, 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """n operations in the order of their begin; arrays of shape (n,), ns as int64.

    Attributes
    ----------
    begin : ndarray
        From the first begin of the load.
    recorded : ndarray
        The recorded latency.
    before : ndarray
        From the begin until the task asks for the namespace lock, with the part of the wait for the
        lock that no recorded umount explains.
    hold : ndarray
        How long it has the lock; 0 if the tier does not see it.
    rcu, put, rest, shutdown : ndarray
        The wait for the grace period, the put loop, what else the call takes after it had the
        lock, and the shutdown on the way back to user mode.
    kind : ndarray of int8
        `SYNC` and `LAZY` are calls of umount(2), `TEARDOWN` is anything else.
    waited, normal : ndarray of bool
        Whether it waited for a grace period, and whether that was a normal one.
    held : ndarray of int8
        Whether somebody else held a victim: `HELD`, `FREE`, `UNKNOWN`.
    mounts : ndarray
        Mounts taken down; 1 if unknown.
    gp : ndarray
        Number of the grace period; -1 unknown.
    joined : ndarray of bool
        It shared a grace period that another task had asked for.
    walkers : ndarray
        Path walkers that met a dying mount of it; -1 unknown.
    owner, fstype, dev : ndarray
        Places in ``owners``, ``fstypes`` and ``devs``, the names; the name None is unknown.
    tid : ndarray
        The task; -1 unknown.
    teardown : ndarray
        A number for each teardown, -1 for an umount that belongs to none.
    turn : ndarray
        Its place in the order in which the lock was taken as recorded, which decides where two ask
        at the same time.
    after : ndarray
        Place of the operation that the same task began next; -1 none.
    zero_ns : int
        The first begin, ns of UTC.
    left_out : int
        Rows without a begin or an end, which are not in the load.
    sees_lock, sees_held : bool
        Whether any row knows how long the lock was held, and whether somebody held a victim.
    """

    begin: Int64
    recorded: Int64
    before: Int64
    hold: Int64
    rcu: Int64
    put: Int64
    rest: Int64
    shutdown: Int64
    kind: npt.NDArray[np.int8]
    succeeded: Bools
    waited: Bools
    normal: Bools
    held: npt.NDArray[np.int8]
    mounts: Int64
    gp: Int64
    joined: Bools
    walkers: Int64
    owner: Int64
    owners: tuple[str | None, ...]
    fstype: Int64
    fstypes: tuple[str | None, ...]
    dev: Int64
    devs: tuple[str | None, ...]
    tid: Int64
    teardown: Int64
    turn: Int64
    after: Int64
    zero_ns: int
    left_out: int
    sees_lock: bool
    sees_held: bool

    def __len__(self) -> int:
        return int(self.begin.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose n rows are, and which belong together; as in `Load`."""

    owner: Int64
    owners: tuple[str | None, ...]
    teardown: Int64


def nobody(rows: pa.RecordBatch) -> Whose:
    """Return that no owner is known."""
    owner = np.zeros(rows.num_rows, np.int64)
    return Whose(owner=owner, owners=(None,), teardown=owner - 1)


def load_of(
    batches: Iterable[pa.RecordBatch],
    *,
    columns: Sequence[str] = COLUMNS,
    whose: Callable[[pa.RecordBatch], Whose] = nobody,
) -> Load:
    """Return the load of rows that have ``columns``, at least `COLUMNS`.

    A row without its begin or latency is left out. A phase that is unknown counts as part of the
    rest of the call.

    Parameters
    ----------
    whose : callable
        Says of rows in the order of their begin whose they are.

    Raises
    ------
    DamagedInputError
        The times are longer than any host has run, so that sums of them would overflow.
    """
    found = [batch.select(columns) for batch in batches]
    schema = found[0].schema if found else pa.schema([SCHEMA.field(name) for name in columns])
    table = pa.Table.from_batches(found, schema)
    rows = table.combine_chunks().to_batches()
    whole = rows[0] if rows else pa.RecordBatch.from_pylist([], schema=table.schema)
    begins, latency = _ns(whole, "t_start"), _ns(whole, "latency_ns")
    usable = (begins >= 0) & (latency >= 0)
    _refuse_long(whole, begins[usable], latency)
    order = np.flatnonzero(usable)[np.argsort(begins[usable], kind="stable")]
    rows_in_order = whole.take(pa.array(order))
    return _arrays(rows_in_order, whose(rows_in_order), int(usable.size - order.size))


def _refuse_long(rows: pa.RecordBatch, begins: Int64, latency: Int64) -> None:
    """Refuse what only a damaged or made-up recording has; sums of floats do not overflow."""
    spent = latency.sum(dtype=np.float64) + sum(
        _phase(rows, name).sum(dtype=np.float64) for name in _PHASES
    )
    lasted = float(begins.max()) - float(begins.min()) if begins.size else 0.0
    if lasted + spent > _LONGEST_NS:
        raise DamagedInputError("its umounts lasted more than a year in all: cannot be simulated")


def _arrays(rows: pa.RecordBatch, whose: Whose, left_out: int) -> Load:
    begin, latency = _ns(rows, "t_start"), _ns(rows, "latency_ns")
    zero_ns = int(begin[0]) if begin.size else 0
    begin = begin - zero_ns
    lookup, lock, hold, rcu, put, shutdown = (_phase(rows, name) for name in _PHASES)
    before = lookup + lock - _explained(begin + lookup, lock, hold)
    known = lookup + lock + hold + rcu + put + shutdown
    held = _ns(rows, "n_held")
    (fstype, fstypes), (dev, devs) = (encode(rows.column(name)) for name in ("fstype", "dev"))
    return Load(
        begin=begin,
        recorded=latency,
        before=before,
        hold=hold,
        rcu=rcu,
        put=put,
        rest=np.maximum(latency - known, 0),
        shutdown=shutdown,
        kind=_kinds(rows),
        succeeded=_ns(rows, "errno") == 0,
        waited=rcu > 0,
        normal=_is(rows, "rcu_kind", "normal"),
        held=np.where(held < 0, UNKNOWN, np.where(held > 0, HELD, FREE)).astype(np.int8),
        mounts=np.maximum(_ns(rows, "n_mounts"), 1),
        gp=_ns(rows, "gp_seq"),
        joined=_is(rows, "rcu_kind", "piggybacked"),
        walkers=_walkers(rows),
        owner=whose.owner,
        owners=whose.owners,
        fstype=fstype.astype(np.int64),
        fstypes=tuple(fstypes),
        dev=dev.astype(np.int64),
        devs=tuple(devs),
        tid=_ns(rows, "tid"),
        teardown=whose.teardown,
        turn=_turns(begin + lookup + lock, hold),
        after=_next_of_task(_ns(rows, "tid"), begin, latency),
        zero_ns=zero_ns,
        left_out=left_out,
        sees_lock=bool((_ns(rows, "tree_ns") >= 0).any()),
        sees_held=bool((held >= 0).any()),
    )


def _explained(asked: Int64, lock: Int64, hold: Int64) -> Int64:
    """Return the part of each wait for the lock in which another recorded umount had it."""
    if not asked.size:
        return lock
    got = asked + lock
    order = np.lexsort((got + hold, got))
    freed = np.maximum.accumulate((got + hold)[order])
    before = np.concatenate(([np.int64(0)], freed[:-1]))
    explained = np.empty_like(lock)
    explained[order] = np.clip(before - asked[order], 0, lock[order])
    return explained


def _turns(got: Int64, hold: Int64) -> Int64:
    turns = np.empty(got.size, np.int64)
    turns[np.lexsort((got + hold, got))] = np.arange(got.size)
    return turns


def _next_of_task(tids: Int64, begin: Int64, latency: Int64) -> Int64:
    """Return the place of each task's next operation, -1 for none, or if it overlaps this one."""
    after = np.full(tids.size, -1, np.int64)
    order = np.lexsort((begin, tids))
    same = (tids[order][1:] == tids[order][:-1]) & (tids[order][1:] > 0)
    first, second = order[:-1][same], order[1:][same]
    in_turn = begin[second] >= begin[first] + latency[first]
    after[first[in_turn]] = second[in_turn]
    return after


def _walkers(rows: pa.RecordBatch) -> Int64:
    legitimized, discounted = _ns(rows, "n_legitimized"), _ns(rows, "n_discounted")
    both = legitimized.clip(0) + discounted.clip(0)
    return np.where((legitimized < 0) & (discounted < 0), -1, both)


def _ns(rows: pa.RecordBatch, name: str) -> Int64:
    return integers(rows.column(name), null=-1)


def _phase(rows: pa.RecordBatch, name: str) -> Int64:
    return np.maximum(_ns(rows, name), 0)


def _kinds(rows: pa.RecordBatch) -> npt.NDArray[np.int8]:
    umount, lazy = _is(rows, "origin", "umount"), _is(rows, "mode", "lazy")
    return np.where(umount, np.where(lazy, LAZY, SYNC), TEARDOWN).astype(np.int8)


def _is(rows: pa.RecordBatch, name: str, value: str) -> Bools:
    codes, names = encode(rows.column(name))
    return np.array([each == value for each in names], np.bool_)[codes]
