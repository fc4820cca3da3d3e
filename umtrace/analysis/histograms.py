"""Histograms of a recording as frames: mergeable, with quantiles and their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from umtrace.stats.groups import Key
from umtrace.stats.histogram import Histogram
from umtrace.stats.summary import Summary


class Histograms(Mapping[object, Histogram]):
    """One histogram per group; a mapping from the group's key to `Histogram`.

    The key is a value for one ``by`` column, a tuple for several, ``"all"`` for none.
    Zeros are counted; quantiles are of the values above zero, as in a report.
    """

    def __init__(self, column: str, by: Sequence[str], groups: Mapping[Key, Histogram]) -> None:
        self.column = column
        self.by = tuple(by)
        self._groups = dict(groups)

    @classmethod
    def of(cls, summary: Summary, column: str) -> Histograms:
        """Return the histograms of one duration column of a summary."""
        groups = {group.key: group.metric(column).histogram for group in summary.groups}
        return cls(column, summary.by, groups)

    def __getitem__(self, label: object) -> Histogram:
        for key, histogram in self._groups.items():
            if _plain(key) == label:
                return histogram
        raise KeyError(label)

    def __iter__(self) -> Iterator[object]:
        return map(_plain, self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __add__(self, other: Histograms) -> Histograms:
        """Return both together, group by group, exactly as if recorded as one."""
        if (self.column, self.by) != (other.column, other.by):
            raise ValueError(f"{self!r} and {other!r} do not count the same")
        keys = dict.fromkeys((*self._groups, *other._groups))
        none = Histogram()
        groups = {k: self._groups.get(k, none) + other._groups.get(k, none) for k in keys}
        return Histograms(self.column, self.by, groups)

    def __repr__(self) -> str:
        n = sum(histogram.count for histogram in self._groups.values())
        return f"<Histograms of {self.column} by {', '.join(self.by) or 'nothing'}: {n} values>"

    def _repr_html_(self) -> str:
        html: str = self.quantile([0.5, 0.9, 0.99, 1.0])._repr_html_()  # type: ignore[operator]
        return html

    @property
    def total(self) -> Histogram:
        """The histogram of all groups together."""
        return sum(self._groups.values(), Histogram())

    def quantile(self, q: float | Sequence[float]) -> pd.DataFrame:
        """Return quantiles in ns, within 0.4 %, one row per group; missing without values.

        The column ``n`` counts the values above zero, ``zeros`` the others.
        """
        wanted = [q] if isinstance(q, int | float) else list(q)
        above = [histogram.without_zeros() for histogram in self._groups.values()]
        data: dict[str, pd.Series] = {
            "n": self._integers([h.count for h in above]),
            "zeros": self._integers([h.zeros for h in self._groups.values()]),
        }
        for one in wanted:
            data[f"p{100 * one:g}"] = self._integers([h.quantile(one) for h in above])
        frame: pd.DataFrame = pd.DataFrame(data, index=self._index())
        return frame

    def interval(self, q: float, confidence: float = 0.95) -> pd.DataFrame:
        """Return ``low``, ``value`` and ``high`` of a quantile in ns, one row per group.

        From order statistics; missing where the values are too few to bound that side.
        """
        above = [histogram.without_zeros() for histogram in self._groups.values()]
        ends = [histogram.quantile_interval(q, confidence) for histogram in above]
        data = {
            "low": self._integers([low for low, _ in ends]),
            "value": self._integers([histogram.quantile(q) for histogram in above]),
            "high": self._integers([high for _, high in ends]),
        }
        frame: pd.DataFrame = pd.DataFrame(data, index=self._index())
        return frame

    def to_frame(self) -> pd.DataFrame:
        """Return the buckets in use: group, ``lower_ns``, ``upper_ns``, ``count``.

        A bucket holds lower <= value <= upper, and is at most 0.8 % wide.
        """
        parts = []
        for key, histogram in self._groups.items():
            lower, upper, count = histogram.buckets()
            part = pd.DataFrame({"lower_ns": lower, "upper_ns": upper, "count": count})
            for place, (name, value) in enumerate(zip(self.by, key, strict=True)):
                part.insert(place, name, pd.Series([value] * len(part), dtype=object))
            parts.append(part)
        if not parts:
            names = [*self.by, "lower_ns", "upper_ns", "count"]
            empty: pd.DataFrame = pd.DataFrame({name: [] for name in names})
            return empty
        together: pd.DataFrame = pd.concat(parts, ignore_index=True)
        return together

    def _index(self) -> pd.Index:
        index: pd.Index
        if len(self.by) > 1:
            index = pd.MultiIndex.from_tuples(list(self._groups), names=list(self.by))
        else:
            index = pd.Index(list(self), name=self.by[0] if self.by else None, dtype=object)
        return index

    def _integers(self, values: Sequence[int | None]) -> pd.Series:
        cells = pd.array([pd.NA if value is None else value for value in values], dtype="Int64")
        series: pd.Series = pd.Series(cells, index=self._index())
        return series


def _plain(key: Key) -> object:
    return (key[0] if len(key) == 1 else key) if key else "all"
