"""What a filter cannot decide: rows whose column is unknown neither match nor do not match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from umtrace.records.arrow import Bools, integers, mask
from umtrace.records.errors import UsageError
from umtrace.stats.filters import RowFilter
from umtrace.stats.groups import encode

#: column -> what it says, in words
_WORDS = {
    "pid": "process id",
    "comm": "task name",
    "cgroup_id": "cgroup",
    "container": "cgroup",
    "mntns": "mount namespace",
    "fstype": "file system type",
    "mode": "mode",
    "latency_ns": "latency",
    "errno": "outcome",
}
_BY_PID, _BY_CGROUP, _ORIGIN = "pid", "cgroup_id", "origin"
#: what the rows of a tier never have; of others it depends on the kernel
_NEVER = {"tracepoint": frozenset({"fstype"}), "ftrace-static": frozenset({"fstype"})}


def check_seen(row_filter: RowFilter, tier: str) -> None:
    """Raise UsageError where a tier does not see what a filter asks for: nothing would match."""
    for name in row_filter.columns:
        if name in _NEVER.get(tier, ()):
            raise UsageError(
                f"--{name} matches nothing in tier {tier}, which does not see the {_WORDS[name]} "
                "of an umount; go without it, or try a tier with function probes "
                "(umtrace doctor says which work here)"
            )


def unknown_counts(
    row_filter: RowFilter, read: Callable[[Sequence[str]], Iterable[pa.RecordBatch]]
) -> dict[str, tuple[int, int]]:
    """Return by column in how many rows it is unknown, and how many rows there are."""
    wanted = row_filter.columns
    columns = [*dict.fromkeys((*wanted, *_beside(wanted)))]
    counts = {name: [0, 0] for name in wanted}
    for batch in read(columns):
        for name in wanted:
            counts[name][0] += int(np.count_nonzero(_is_unknown(name, batch)))
            counts[name][1] += batch.num_rows
    return {name: (unknown, rows) for name, (unknown, rows) in counts.items()}


def told(counts: Mapping[str, tuple[int, int]], tier: str) -> list[str]:
    """Return a sentence for each column; UsageError where no row knows it."""
    sentences = []
    for name, (unknown, rows) in counts.items():
        if unknown and unknown == rows:
            raise UsageError(
                f"no row of this recording has a {_WORDS[name]}: tier {tier} does not see it here, "
                "and what is unknown does not match; go without this filter"
            )
        if unknown:
            verb = "has" if unknown == 1 else "have"
            sentences.append(f"{unknown:,} of {rows:,} rows {verb} no {_WORDS[name]}: left out")
    return sentences


def _beside(columns: Sequence[str]) -> Iterator[str]:
    if "container" in columns:
        yield _BY_CGROUP
    if "mode" in columns:
        yield _ORIGIN


def _is_unknown(name: str, batch: pa.RecordBatch) -> Bools:
    null = mask(batch.column(name).is_null())
    if name == "container":  # a cgroup that is known is in no container
        cgroup = batch.column(_BY_CGROUP)
        unknown: Bools = null & (mask(cgroup.is_null()) | (integers(cgroup) == 0))
        return unknown
    if name == "mode":  # what is no umount has none
        codes, origins = encode(batch.column(_ORIGIN))
        return null & np.array([each in (None, "umount") for each in origins], np.bool_)[codes]
    return null
