"""What a fleet's report says: a head, sections, and the same for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow.compute as pc

from umtrace.fleet import hosts as of_hosts
from umtrace.fleet.groups import fleet_groups
from umtrace.fleet.mapping import BOUND, Part, Query
from umtrace.fleet.merged import codes_of, histogram_of, measures_of, summary_of
from umtrace.fleet.verdicts import DAMAGE, KINDS, NOT_COUNTED, Verdict, of_fleet
from umtrace.model.clock import date_time
from umtrace.model.errors import DamagedInputError
from umtrace.present.report.section import BLOCK_FORMATS, Column, Kind, Lines, Section, Table
from umtrace.present.sections import phases
from umtrace.present.units import count, plural
from umtrace.stats.summarize import errno_name
from umtrace.stats.summary import Summary

#: durations whose spread over hosts a report shows
RESAMPLED = ("latency_ns", "rcu_ns")
_MOST = 10
_MOST_LINES = 20
_ALL = BLOCK_FORMATS
_HELD = {0: "nobody", 1: "somebody", -1: "unknown"}
_JUDGED = {1: "spurious", 0: "real", -1: "unknown"}


@dataclass(frozen=True)
class FleetReport:
    """A part, read: what hosts come to.

    Attributes
    ----------
    source : str
        What was read, for the head.
    expected : sequence of str or None
        Hosts that should be there.
    late_ns : int
        A host is late where its last hour is so long before that of most.
    """

    part: Part
    query: Query
    source: str
    expected: Sequence[str] | None = None
    late_ns: int = 7_200_000_000_000

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All verdicts, in the order of `KINDS`."""
        seen = of_hosts.seen_of(self.part.hosts)
        found = [*self.part.verdicts, *of_fleet(seen, self.expected, self.late_ns)]
        return tuple(sorted(found, key=lambda v: (KINDS.index(v.kind), v)))

    @cached_property
    def summary(self) -> Summary:
        """The groups; `latency_bound` is a key only where there are several."""
        whole = summary_of(self.part.cells, self.query.by)
        at = self.query.by.index(BOUND)
        if len({group.key[at] for group in whole.groups}) < 2 and len(self.query.by) > 1:  # noqa: PLR2004
            return summary_of(self.part.cells, [name for name in self.query.by if name != BOUND])
        return whole

    @property
    def status(self) -> int:
        """Exit status: 5 where something that had been recorded cannot be read."""
        damaged = any(verdict.kind in DAMAGE for verdict in self.verdicts)
        return DamagedInputError.exit_code if damaged else 0

    def head(self) -> list[str]:
        """Return the first lines."""
        found = self.part.hosts
        umounts = pc.sum(found["umounts"]).as_py() or 0
        files = pc.sum(found["files"]).as_py() or 0
        lines = [
            f"fleet {self.source}",
            " · ".join(
                plural(n, noun)
                for n, noun in ((found.num_rows, "host"), (files, "file"), (umounts, "umount"))
            ),
        ]
        if found.num_rows:
            begin, end = pc.min(found["begin_ns"]).as_py(), pc.max(found["last_ns"]).as_py()
            lines.append(f"from {date_time(begin)} to {date_time(end)}")
        return [*lines, *self._coverage()]

    def _coverage(self) -> list[str]:
        names = {
            kind: [v.host for v in self.verdicts if v.kind == kind] for kind in ("missing", "late")
        }
        lines = []
        if self.expected is not None:
            wanted = len(set(self.expected))
            lines.append(
                f"coverage: {wanted - len(names['missing']):,} of {wanted:,} expected hosts"
            )
        for kind, found in names.items():
            if found:
                more = f" and {len(found) - _MOST:,} more" if len(found) > _MOST else ""
                lines.append(f"{kind}: {', '.join(found[:_MOST])}{more}")
        lost = pc.sum(self.part.hosts["lost"]).as_py() or 0
        incomplete = pc.sum(self.part.hosts["incomplete"]).as_py() or 0
        lines.append(f"losses: {count(lost)} · incomplete: {plural(incomplete, 'umount')}")
        dropped = Counter(v.kind for v in self.verdicts if v.kind in NOT_COUNTED)
        if dropped:
            lines.append(
                "NOT COUNTED: " + ", ".join(f"{n:,} {kind}" for kind, n in dropped.items())
            )
        mixed = [v.text for v in self.verdicts if v.kind.startswith("mixed-")]
        return [*lines, *(f"MIXED {text}" for text in mixed)]

    def sections(self) -> list[Section]:
        """Return what follows the head."""
        made = [
            fleet_groups(self.summary, self.part.resampled, self.query.by),
            self._phases(),
            self._outcomes(),
            self._kernels(),
            self._owners(),
            self._outliers(),
            self._verdicts(),
        ]
        return [section for section in made if section is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for JSON; null is unknown, times are ns, shares 0 to 1."""
        return {
            "source": self.source,
            "hosts": self.part.hosts.num_rows,
            **{section.name: section.data for section in self.sections()},
        }

    def _phases(self) -> Section | None:
        return phases.section(self.summary) if self.summary.groups else None

    def _outcomes(self) -> Section | None:
        cells = self.part.cells
        failed = {errno_name(c): n for c, n in codes_of(cells, "errno").items() if c > 0}
        held = {_HELD.get(c, str(c)): n for c, n in codes_of(cells, "n_held").items()}
        rows = [row for name in measures_of(cells, "ebusy.") for row in self._windows(name)]
        lines = [f"failed: {_listed(failed) or 'none'}"]
        if set(held) - {"unknown"}:
            lines.append(f"who else held a mount before the grace period: {_listed(held)}")
        columns = (
            Column("class", Kind.WORD, "EBUSY class"), Column("verdict", Kind.WORD),
            Column("windows", Kind.COUNT), Column("p50_ns", Kind.DURATION_NS, "p50 of class"),
            Column("p99_ns", Kind.DURATION_NS, "p99 of class"),
        )  # fmt: skip
        table = Table(columns, rows)
        names = [column.name for column in columns]
        windows = [dict(zip(names, row, strict=True)) for row in rows]
        return _section("outcomes", "Outcomes", [Lines(lines), table],
                        {"failed": failed, "n_held": held, "ebusy": windows})  # fmt: skip

    def _windows(self, measure: str) -> list[list[Any]]:
        klass = measure.removeprefix("ebusy.")
        lasted = histogram_of(self.part.cells, f"ebusy_ns.{klass}")
        ends = [lasted.quantile(0.5), lasted.quantile(0.99)]
        return [
            [klass, _JUDGED.get(code, str(code)), n, *ends]
            for code, n in codes_of(self.part.cells, measure).items()
        ]

    def _kernels(self) -> Section | None:
        found = of_hosts.kernels_of(self.part.hosts)
        columns = (Column("kernel"), Column("hosts", Kind.COUNT))
        rows = [[kernel, n] for kernel, n in found.items()]
        table = Table(
            columns, rows[:_MOST_LINES], "Kernels of the hosts", ("text", "markdown", "html")
        )
        return _section(
            "kernels", "Kernels", [table, Table(columns, rows, formats=("csv",))], found
        )

    def _owners(self) -> Section | None:
        summary = summary_of_owners(self.part)
        if not summary:
            return None
        columns = (
            Column("owner"), Column("umounts", Kind.COUNT), Column("failed", Kind.COUNT),
            Column("time_ns", Kind.DURATION_NS, "total time"),
            Column("mean_ns", Kind.DURATION_NS, "mean"), Column("max_ns", Kind.DURATION_NS, "max"),
        )  # fmt: skip
        rows = [[row[column.name] for column in columns] for row in summary]
        table = Table(
            columns, rows[:_MOST], "Owners by time in umounts", ("text", "markdown", "html")
        )
        whole = Table(columns, rows, formats=("csv",))
        return _section("owners", "Owners", [table, whole], summary[:1000])

    def _outliers(self) -> Section | None:
        found = of_hosts.outliers(self.part.hosts)
        columns = (
            Column("host"), Column("kernels", title="kernel"), Column("n", Kind.COUNT, "umounts"),
            Column("p50_ns", Kind.DURATION_NS, "p50"), Column("p99_ns", Kind.DURATION_NS, "p99"),
            Column("times", Kind.WORD, "of the usual", right=True),
        )  # fmt: skip
        rows = [
            [*(row[c.name] for c in columns[:-1]), f"{row['what']} {row['times']:.1f} times"]
            for row in found[:_MOST]
        ]
        lines = [] if found else ["no host is far from the others of its kernel"]
        table = Table(columns, rows, "Hosts far from the others" if rows else "")
        return _section(
            "outliers", "Outliers", [Lines(lines, ("text", "markdown", "html")), table], found
        )

    def _verdicts(self) -> Section | None:
        shown: list[str] = []
        kinds = dict.fromkeys(v.kind for v in self.verdicts)
        for kind in (kind for kind in kinds if not kind.startswith("mixed-")):
            mine = [v for v in self.verdicts if v.kind == kind]
            room = 3 if len(self.verdicts) > _MOST_LINES else len(mine)
            shown += [_line(v) for v in mine[:room]]
            if len(mine) > room:
                shown.append(f"{kind}: {len(mine) - room:,} more; --json lists all")
        data = [asdict(verdict) for verdict in self.verdicts]
        columns = [Column(name) for name in ("kind", "host", "where", "text")]
        rows = [[row[column.name] for column in columns] for row in data]
        lines = Lines(shown, ("text", "markdown", "html"))
        return _section(
            "verdicts", "Verdicts", [lines, Table(columns, rows, formats=("csv",))], data
        )


def summary_of_owners(part: Part) -> list[dict[str, Any]]:
    """Return one row per owner, the most time in umounts first; none where none is known."""
    failed: Counter[str | None] = Counter()
    rows = {}
    for cell in part.owners.to_pylist():
        if cell["measure"] == "errno" and cell["bucket"] > 0:
            failed[cell["owner"]] += cell["count"]
        elif cell["measure"] == "latency_ns":
            rows[cell["owner"]] = cell
    if not set(rows) - {None}:
        return []
    made = [
        {"owner": owner, "umounts": cell["count"] + (cell["unknown"] or 0), "failed": failed[owner],
         "time_ns": int(cell["sum_ns"] or 0), "max_ns": cell["max_ns"],
         "mean_ns": int(cell["sum_ns"]) // cell["count"] if cell["count"] else None}
        for owner, cell in rows.items()
    ]  # fmt: skip
    return sorted(made, key=lambda row: (-row["time_ns"], row["owner"] or ""))


def _section(name: str, title: str, blocks: Sequence[Any], data: Any) -> Section:
    return Section(name=name, title=title, line="", weight=0, blocks=blocks, data=data)


def _listed(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n:,}" for name, n in ordered)


def _line(verdict: Verdict) -> str:
    place = " ".join(filter(None, (verdict.host, verdict.where)))
    return f"{verdict.kind}: {place + ': ' if place else ''}{verdict.text}"
