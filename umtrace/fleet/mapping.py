"""One host to a part, and parts to one: the two functions that every engine runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import pyarrow as pa
import pyarrow.compute as pc

from umtrace.fleet import cells
from umtrace.fleet.about import NewerSummaryError
from umtrace.fleet.hosts import host_row, no_hosts
from umtrace.fleet.items import Item, Span, Task
from umtrace.fleet.opened import Hour, hours_of
from umtrace.fleet.resampled import Resampled
from umtrace.fleet.verdicts import Verdict, of_boots, of_hour
from umtrace.model.errors import UmtraceError, UsageError
from umtrace.recording.stream import READ_ERRORS, one_line

BOUND = "latency_bound"
#: what parts may be grouped by and chosen by
KEYS = ("host", *cells.KEYS)
_LATENCY = "latency_ns"
_HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of each host.

    Attributes
    ----------
    by : tuple of str
        Keys of the result; `latency_bound` is always one, since bounds do not mix.
    resample : tuple of str
        Durations of which the spread over hosts is wanted.
    where : tuple of (str, str)
        Key and shell pattern; patterns of one key are alternatives, null never matches.
    span : (int or None, int or None)
        Hours that begin in it, ns of UTC.
    now_ns : int
        Time of the question: what begins later has a wrong clock.
    """

    by: tuple[str, ...] = ()
    resample: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    span: Span = (None, None)
    owners: bool = False
    now_ns: int = 0

    def __post_init__(self) -> None:
        """Check the keys; UsageError for one that there is not."""
        for name in (*self.by, *(key for key, _ in self.where)):
            if name not in KEYS:
                raise UsageError(f"no key '{name}' of a fleet; choose from {', '.join(KEYS)}")
        keys = dict.fromkeys((*self.by, BOUND))
        object.__setattr__(self, "by", tuple(keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What some hosts come to; parts add up in any order.

    Attributes
    ----------
    cells : Table
        By the keys of the query.
    owners : Table
        Totals by owner; empty unless asked for.
    hosts : Table
        One row per host; see `umtrace.fleet.hosts`.
    """

    cells: pa.Table
    owners: pa.Table
    hosts: pa.Table
    resampled: Resampled
    verdicts: tuple[Verdict, ...] = field(default_factory=tuple)


def nothing(query: Query) -> Part:
    """Return the part of no host."""
    return Part(
        cells=cells.no_cells(query.by),
        owners=cells.no_cells(("owner",)),
        hosts=no_hosts(),
        resampled=Resampled(query.by),
    )


def add_up(parts: Sequence[Part], query: Query) -> Part:
    """Add parts; the result does not depend on their order."""
    parts = [nothing(query), *parts]
    resampled = Resampled(query.by)
    for part in parts:
        resampled = resampled + part.resampled
    hosts = pa.concat_tables([part.hosts for part in parts]).sort_by("host").combine_chunks()
    return Part(
        cells=cells.add_up([part.cells for part in parts], query.by),
        owners=cells.add_up([part.owners for part in parts], ("owner",)),
        hosts=hosts,
        resampled=resampled,
        verdicts=tuple(sorted(set().union(*(part.verdicts for part in parts)))),
    )


def count(task: Task, query: Query) -> Part:
    """Read all that there is of one host; what cannot be read is a verdict."""
    if task.host is not None and not _matches("host", task.host, query):
        return nothing(query)
    with ExitStack() as stack:
        verdicts: list[Verdict] = []
        hours: list[Hour] = []
        for item in task.items:
            hours += _opened(item, task.host, stack, verdicts)
        return _counted(task, _once(hours, query, verdicts), verdicts, query)


def _opened(item: Item, host: str | None, stack: ExitStack, verdicts: list[Verdict]) -> list[Hour]:
    try:
        hours = hours_of(item, stack)
    except NewerSummaryError as error:
        verdicts.append(Verdict("newer", host or "", item.name, str(error)))
        return []
    except (UmtraceError, *READ_ERRORS, OSError) as error:
        text = one_line(error).replace(f"{item.name}: ", "")
        verdicts.append(Verdict("damaged", host or "", item.name, text))
        return []
    others = [hour for hour in hours if hour.about.host != host]
    if others:
        text = f"it says that it is of host {others[0].about.host!r}"
        verdicts.append(Verdict("misfiled", host or "", item.name, text))
        return []
    return hours


def _once(hours: list[Hour], query: Query, verdicts: list[Verdict]) -> list[Hour]:
    """Return the hours in the span, each identity once: a closed one before an open one."""
    chosen: dict[tuple[str, int, int], Hour] = {}
    begin, end = query.span
    for hour in sorted(
        hours, key=lambda h: (h.about.state != "closed", h.item.name, h.about.hour_ns)
    ):
        at = hour.about.hour_ns
        if (begin is not None and at + _HOUR_NS <= begin) or (end is not None and at >= end):
            continue
        first = chosen.setdefault(hour.about.identity, hour)
        if first is not hour:
            text = f"the same boot, start and hour as {first.item.name}"
            verdicts.append(Verdict("duplicate", hour.about.host, hour.item.name, text))
    return list(chosen.values())


def _counted(task: Task, hours: list[Hour], verdicts: list[Verdict], query: Query) -> Part:
    tables, read = [], []
    for hour in hours:
        try:
            tables.append(_chosen(hour.cells(), query))
        except (UmtraceError, *READ_ERRORS) as error:
            verdicts.append(Verdict("damaged", hour.about.host, hour.item.name, one_line(error)))
            continue
        read.append(hour)
        verdicts += of_hour(hour.item, hour.about, damaged=hour.damaged, now_ns=query.now_ns)
    if not read:
        return _only(verdicts, query)
    host = read[0].about.host
    whole = cells.add_up(tables)
    abouts = [hour.about for hour in read]
    verdicts += of_boots(host, abouts)
    named = whole.append_column("host", pa.array([host] * whole.num_rows, pa.string()))
    found = cells.add_up([named], query.by)
    return Part(
        cells=found,
        owners=_owners(whole) if query.owners else cells.no_cells(("owner",)),
        hosts=host_row(host, whole, abouts, len(task.items)),
        resampled=Resampled.of_host(host, found, query.by, query.resample),
        verdicts=tuple(verdicts),
    )


def _only(verdicts: list[Verdict], query: Query) -> Part:
    part = nothing(query)
    return Part(
        cells=part.cells, owners=part.owners, hosts=part.hosts, resampled=part.resampled,
        verdicts=tuple(verdicts),
    )  # fmt: skip


def _owners(whole: pa.Table) -> pa.Table:
    """Return totals of latency and outcomes by owner, without buckets of durations."""
    latency = pc.and_(pc.equal(whole["measure"], _LATENCY), pc.is_null(whole["bucket"]))
    return cells.add_up(
        [whole.filter(pc.or_(latency, pc.equal(whole["measure"], "errno")))], ("owner",)
    )


def _chosen(table: pa.Table, query: Query) -> pa.Table:
    for name in dict.fromkeys(key for key, _ in query.where if key != "host"):
        values = table[name].unique().drop_null().to_pylist()
        fits = [value for value in values if _matches(name, value, query)]
        table = table.filter(pc.is_in(table[name], pa.array(fits, pa.string())))
    return table


def _matches(name: str, value: str, query: Query) -> bool:
    patterns = [pattern for key, pattern in query.where if key == name]
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
