"""A ledger beside the rows of a recording: one to one, and every column that both know."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from tests.oracle.ledger import Entry, Ledger
from tests.oracle.tiers import excused, of

Row = Mapping[str, Any]
#: null only where the tier is excused
COLUMNS = ("path", "flags", "errno", "mode", "pid", "comm", "fstype", "final_put", "n_mounts")
_FRACTION = re.compile(r"\.(\d+)Z$")


def monotonic_ns(row: Row, clock: Mapping[str, int]) -> int:
    """Return when a row began on the clock of the ledger."""
    text = row["t_start"]
    digits = _FRACTION.search(text)
    whole = datetime.strptime(text.partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S")
    seconds = int(whole.replace(tzinfo=timezone.utc).timestamp())
    ns = int(digits[1].ljust(9, "0")) if digits else 0
    return seconds * 10**9 + ns - (clock["realtime_ns"] - clock["monotonic_ns"])


def differences(
    ledger: Ledger, rows: Iterable[Row], clock: Mapping[str, int], tier: str
) -> list[str]:
    """Return what does not agree, a line each."""
    mine = defaultdict(list)
    for row in rows:
        if row["tid"] in ledger.tasks or row["pid"] in ledger.tasks:
            mine[row["tid"], row["origin"]].append(row)
    found: list[str] = []
    wanted = defaultdict(list)
    for entry in ledger.entries:
        if not excused(tier, entry):
            wanted[entry.tid, entry.origin].append(entry)
    lost = {entry.tid for entry in ledger.entries if excused(tier, entry)}
    for task in [task for task in mine if task[0] in lost]:
        mine[task] = [row for row in mine[task] if row["incomplete_why"] != "no-enter"]
    for task in sorted(mine.keys() | wanted.keys(), key=str):
        rows_here = sorted(mine[task], key=lambda row: row["t_start"] or "")
        found += _of_task(tier, wanted[task], rows_here, clock)
    return found


def _of_task(
    tier: str, entries: Sequence[Entry], rows: Sequence[Row], clock: Mapping[str, int]
) -> Iterator[str]:
    entries = sorted(entries, key=lambda entry: entry.end)  # a namespace within another
    if len(rows) < len(entries) and entries[0].origin in of(tier).sometimes:
        entries = [e for e in entries if any(_overlaps(e, row, clock) for row in rows)]
    for extra in rows[len(entries) :]:
        yield f"a row that is not in the ledger: {_brief(extra)}"
    for missing in entries[len(rows) :]:
        yield f"{missing.key}: no row of {missing}"
    for entry, row in zip(entries, rows):  # noqa: B905 - what is left is said above
        yield from (f"{entry.key}: {what}" for what in _of_row(tier, entry, row, clock))


def _overlaps(entry: Entry, row: Row, clock: Mapping[str, int]) -> bool:
    return row["t_start"] is not None and entry.begin <= monotonic_ns(row, clock) <= entry.next


def _of_row(tier: str, entry: Entry, row: Row, clock: Mapping[str, int]) -> Iterator[str]:
    if not row["complete"]:
        yield f"incomplete: {row['incomplete_why']}: {_brief(row)}"
        return
    unknown = of(tier).unknown
    hidden, _why = of(tier).partly.get(entry.key, ((), ""))
    for column in COLUMNS:
        expected, seen = getattr(entry, column), row[column]
        if column in hidden:
            if seen is not None:
                yield f"{column} is {seen!r}, which the tier is said not to see"
            continue
        if expected is None or (seen is None and column in unknown):
            continue
        if column == "path" and _is_no_path(expected, seen, of(tier).longest_path):
            continue
        if column == "path" and of(tier).dotted and seen == _dotted(expected):
            continue
        if expected != seen:
            yield f"{column} is {seen!r}, not {expected!r}"
    if entry.path is None and row["path"] is not None:
        yield f"path is {row['path']!r}, and there was none"
    yield from _times(entry, row, clock)


def _is_no_path(expected: str, seen: str | None, longest: int) -> bool:
    """Whether the kernel takes no such path: an empty one is null, one too long may be cut."""
    if len(expected.encode(errors="surrogateescape")) < longest:
        return not expected and seen is None
    return seen is None or expected.startswith(seen or "?")


def _dotted(path: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", ".", path)


def _times(entry: Entry, row: Row, clock: Mapping[str, int]) -> Iterator[str]:
    begin = monotonic_ns(row, clock)
    end, last = begin + row["latency_ns"], entry.end
    if row["latency_bound"] != "exact":
        last = entry.next
    # The end of a task's death is not seen: it is taken for over when another task runs, and that
    # may be after the parent has heard of it.
    of_death = row["latency_bound"] == "approx" and entry.origin == "ns-exit" and begin <= last
    if begin < entry.begin or (end > last and not of_death):
        yield (
            f"{row['latency_bound']} from {begin - entry.begin:+,} ns of its begin "
            f"to {end - last:+,} ns of its end: {_brief(row)}"
        )
    called = row["syscall_ns"]
    if called is not None and not 0 <= called <= entry.end - entry.begin:
        yield f"syscall_ns is {called}, and the call took {entry.end - entry.begin} at most"


def _brief(row: Row) -> str:
    names = ("t_start", "origin", "path", "flags", "errno", "pid", "tid", "comm", "latency_ns",
             "latency_bound", "complete", "incomplete_why")  # fmt: skip
    return ", ".join(f"{name}={row[name]!r}" for name in names)


def seen_all_the_same(
    ledger: Ledger, rows: Iterable[Row], clock: Mapping[str, int], tier: str
) -> list[str]:
    """Return the rows of what the tier is said not to see."""
    rows = [row for row in rows if row["t_start"]]
    return [
        f"{entry.key}: {_brief(row)}"
        for entry in ledger.entries
        if excused(tier, entry)
        for row in rows
        if (row["tid"], row["origin"]) == (entry.tid, entry.origin) and _overlaps(entry, row, clock)
    ]
