"""What a summary of umounts says: counts, outcomes and phase histograms of each group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

from umtrace.stats.groups import Key
from umtrace.stats.histogram import Histogram

_NEARLY_ALL = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """One duration column of one group.

    Every row is in one of three places: ``histogram`` (known, zeros included),
    ``n_null`` (not seen by the tier), ``n_negative`` (impossible; not used).

    ``shared_ns`` and ``shared_latency_ns`` are sums over the ``n_shared`` rows in which
    both this duration and the latency are known.
    """

    histogram: Histogram = field(default_factory=Histogram)
    n_null: int = 0
    n_negative: int = 0
    n_shared: int = 0
    shared_ns: int = 0
    shared_latency_ns: int = 0

    @property
    def share(self) -> float | None:
        """The part of the latency that this is, 0 to 1; None if nothing is known."""
        return self.shared_ns / self.shared_latency_ns if self.shared_latency_ns else None

    @property
    def occurred(self) -> Histogram:
        """The histogram of the rows in which it took any time at all."""
        return self.histogram.without_zeros()

    def __add__(self, other: MetricSummary) -> MetricSummary:
        """Return both together."""
        return MetricSummary(
            histogram=self.histogram + other.histogram,
            n_null=self.n_null + other.n_null,
            n_negative=self.n_negative + other.n_negative,
            n_shared=self.n_shared + other.n_shared,
            shared_ns=self.shared_ns + other.shared_ns,
            shared_latency_ns=self.shared_latency_ns + other.shared_latency_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """One group of umounts.

    Attributes
    ----------
    key : tuple
        The values of the group's key columns, None where the column is null.
    count, n_incomplete, n_upper : int
        Rows; rows not known to be complete; rows whose latency is an upper bound.
    errnos : dict of str to int
        Failed rows by errno name, the most frequent first.
    n_outcome_unknown : int
        Rows whose errno is null.
    metrics : dict of str to MetricSummary
        Durations of the umounts that are not known to have failed.
    failed_metrics : dict of str to MetricSummary
        Durations of the failed ones. These end early, so they are kept apart.
    """

    key: Key = ()
    count: int = 0
    n_incomplete: int = 0
    n_upper: int = 0
    n_outcome_unknown: int = 0
    errnos: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, MetricSummary] = field(default_factory=dict)
    failed_metrics: Mapping[str, MetricSummary] = field(default_factory=dict)

    @property
    def n_failed(self) -> int:
        """How many of the umounts failed."""
        return sum(self.errnos.values())

    @property
    def all_failed(self) -> bool:
        """Whether no umount is left without the failed ones."""
        return 0 < self.count == self.n_failed

    @property
    def n_timed(self) -> int:
        """How many umounts the durations are of."""
        return self.count if self.all_failed else self.count - self.n_failed

    @property
    def population(self) -> str:
        """Which of the umounts the durations are of, to follow their number; empty: all."""
        if self.all_failed:
            return " that failed"
        return " that did not fail" if self.n_failed else ""

    def metric(self, name: str) -> MetricSummary:
        """Return one duration column of the umounts that did not fail; of all if all failed.

        It is empty if no such umount was seen.
        """
        metrics = self.failed_metrics if self.all_failed else self.metrics
        return metrics.get(name, MetricSummary())

    def share(self, name: str) -> float | None:
        """Return the part of the group's latency that a phase is, 0 to 1.

        None where it is known in a part of the umounts only: shares of different umounts do
        not add up. Umounts with a hundredth of the time may be without it.
        """
        metric, whole = self.metric(name), self.metric("latency_ns").shared_latency_ns
        known = metric.shared_latency_ns >= _NEARLY_ALL * whole
        return metric.share if known else None

    def is_partly_known(self, name: str) -> bool:
        """Whether a phase is known in so few of the umounts that it has no share."""
        return self.share(name) is None and self.metric(name).share is not None

    def __add__(self, other: GroupSummary) -> GroupSummary:
        """Return both together, under the key of the first."""
        errnos = {
            name: self.errnos.get(name, 0) + other.errnos.get(name, 0)
            for name in (*self.errnos, *other.errnos)
        }
        return GroupSummary(
            key=self.key,
            count=self.count + other.count,
            n_incomplete=self.n_incomplete + other.n_incomplete,
            n_upper=self.n_upper + other.n_upper,
            n_outcome_unknown=self.n_outcome_unknown + other.n_outcome_unknown,
            errnos=most_frequent_first(errnos),
            metrics=_together(self.metrics, other.metrics),
            failed_metrics=_together(self.failed_metrics, other.failed_metrics),
        )


def _together(
    left: Mapping[str, MetricSummary], right: Mapping[str, MetricSummary]
) -> dict[str, MetricSummary]:
    names, none = dict.fromkeys((*left, *right)), MetricSummary()
    return {name: left.get(name, none) + right.get(name, none) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All groups, the largest first, and the columns they were grouped by."""

    by: tuple[str, ...]
    groups: tuple[GroupSummary, ...]

    @property
    def total(self) -> GroupSummary:
        """All groups together, with an empty key."""
        return reduce(lambda left, right: left + right, self.groups, GroupSummary())


def most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts, largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
