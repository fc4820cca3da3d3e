"""What a filter cannot decide: rows whose column is unknown neither match nor do not match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import Bools, integers, mask
from umtrace.model.errors import UsageError
from umtrace.model.tiers import tier_named
from umtrace.stats.filters import RowFilter
from umtrace.stats.groups import encode

#: column -> what it says, in words
_WORDS = {
    "pid": "process id",
    "comm": "task name",
    "cgroup_id": "cgroup",
    "container": "cgroup",
    "owner": "owner",
    "pod": "owner",
    "unit": "owner",
    "image": "owner",
    "by_command": "command",
    "mntns": "mount namespace",
    "fstype": "file system type",
    "mode": "mode",
    "latency_ns": "latency",
    "errno": "outcome",
    "origin": "origin",
}
_OWNER = "owner"
_OF_OWNER = frozenset({"pod", "unit", "image"})
_BY_PID, _BY_CGROUP, _ORIGIN = "pid", "cgroup_id", "origin"


def check_seen(row_filter: RowFilter, tier: str) -> None:
    """Raise UsageError where a tier does not see what a filter asks for: nothing would match."""
    for name in row_filter.asked:
        if name in tier_named(tier).never:
            raise UsageError(
                f"--{name} never matches in tier {tier}, which does not see the {_WORDS[name]} "
                "of an umount; remove the filter, or use a tier with function probes "
                "(umtrace doctor lists those that work here)"
            )


class Undecided:
    """Counts, batch by batch, the rows that a filter cannot decide; feed them unfiltered."""

    def __init__(self, row_filter: RowFilter) -> None:
        self._counts = {name: [0, 0] for name in row_filter.asked}

    @property
    def columns(self) -> list[str]:
        """The columns that a batch must have."""
        return [*dict.fromkeys((*self._counts, *_beside([*self._counts])))]

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """By column, in how many rows it was unknown, and how many rows there were."""
        return {name: (unknown, rows) for name, (unknown, rows) in self._counts.items()}

    def feed(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch."""
        for name, count in self._counts.items():
            count[0] += int(np.count_nonzero(_is_unknown(name, batch)))
            count[1] += batch.num_rows


def unknown_counts(
    row_filter: RowFilter, read: Callable[[Sequence[str]], Iterable[pa.RecordBatch]]
) -> dict[str, tuple[int, int]]:
    """Return by column in how many rows it is unknown, and how many rows there are."""
    undecided = Undecided(row_filter)
    for batch in read(undecided.columns):
        undecided.feed(batch)
    return undecided.counts


def unknown_sentences(counts: Mapping[str, tuple[int, int]], tier: str) -> list[str]:
    """Return a sentence for each column; UsageError where no row knows it."""
    for name, (unknown, rows) in counts.items():
        if unknown and unknown == rows:
            raise UsageError(
                f"no row of this recording has a {_WORDS[name]}: tier {tier} does not see it here, "
                "and an unknown value never matches; remove this filter"
            )
    return sentences(counts)


def sentences(counts: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return a sentence for each column that is unknown in some of the rows, or in all."""
    return [
        f"{unknown:,} of {rows:,} rows {'has' if unknown == 1 else 'have'} "
        f"no {_WORDS.get(name, name)}: left out"
        for name, (unknown, rows) in counts.items()
        if unknown
    ]


def _beside(columns: Sequence[str]) -> Iterator[str]:
    if "container" in columns:
        yield _BY_CGROUP
    if "mode" in columns:
        yield _ORIGIN
    if _OF_OWNER & {*columns}:
        yield _OWNER


def _is_unknown(name: str, batch: pa.RecordBatch) -> Bools:
    null = mask(batch.column(name).is_null())
    if name == "container":  # a cgroup that is known is in no container
        cgroup = batch.column(_BY_CGROUP)
        unknown: Bools = null & (mask(cgroup.is_null()) | (integers(cgroup) == 0))
        return unknown
    if name in _OF_OWNER:  # an owner that is known may have none
        return null & mask(batch.column(_OWNER).is_null())
    if name == "mode":  # what is no umount has none
        codes, origins = encode(batch.column(_ORIGIN))
        return null & np.array([each in (None, "umount") for each in origins], np.bool_)[codes]
    return null
