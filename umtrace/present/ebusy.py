"""EBUSY windows for reading: a table, a line each, a section of the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from umtrace.present.terminal import WIDTH, clean, render
from umtrace.present.units import NS_PER_S, NULL, count, duration, plural
from umtrace.records.holders import Holder
from umtrace.records.windows import EbusyWindow, Walker, window_dict
from umtrace.stats.windows import WindowTotals

#: windows that are listed
MOST = 40
_VERDICTS = {True: "spurious", False: "real", None: "unknown"}


class Counters(Protocol):
    """Totals of walkers and final puts (``ebusy.counters.WalkCounters``)."""

    umounts: int
    discounted: int | None
    must_put: int | None
    met: int | None
    puts_known: int | None
    stolen: int | None

    def to_dict(self) -> dict[str, int | None]:
        """Return the numbers."""


def ebusy_text(
    windows: Sequence[EbusyWindow],
    totals: WindowTotals,
    counters: Counters,
    *,
    width: int = WIDTH,
    evidence: bool = True,
) -> str:
    """Return the table of the first windows, each with its evidence, and the totals of all."""
    return render(_parts(windows, totals, counters, evidence=evidence), width)


def ebusy_json(
    windows: Iterable[EbusyWindow], totals: WindowTotals, counters: Counters
) -> Iterator[str]:
    """Yield the parts of a JSON text: times in ns since the epoch, null is unknown."""
    yield '{"windows": ['
    for number, window in enumerate(windows):
        yield ("," if number else "") + "\n  " + json.dumps(window_dict(window))
    rest = {"totals": totals.rows(), "counters": counters.to_dict()}
    yield "\n]," + json.dumps(rest, indent=2)[1:] + "\n"


def window_line(window: EbusyWindow, *, over: bool = True) -> str:
    """Return one line about a window, for `umtrace trace`."""
    who = holder_names(window) or walker_names(window)
    lasted = duration(window.duration_ns) if over else "so far"
    attempts = plural(window.attempts, "call")
    text = f"EBUSY {window.klass} ({_VERDICTS[window.spurious]}), {attempts}, {lasted}"
    return f"  {text}: {clean(window.path or NULL)}" + (f": {who}" if who else "")


def holder_names(window: EbusyWindow) -> str:
    """Return the holders in a few words: `nginx 123 (fd, cwd), /dev/loop0 (loop)`."""
    kinds: dict[str, list[str]] = {}
    for holder in window.holders:
        kinds.setdefault(_name(holder), []).append(holder.kind)
    named = [f"{name} ({', '.join(dict.fromkeys(found))})" for name, found in kinds.items()]
    return ", ".join(named[:3]) + (f", {len(named) - 3} more" if len(named) > 3 else "")  # noqa: PLR2004


def walker_names(window: EbusyWindow) -> str:
    """Return the walkers in a few words."""
    names = dict.fromkeys(_walker(walker) for walker in window.walkers)
    return ", ".join(list(names)[:3])


def section_lines(
    totals: WindowTotals, longest: Sequence[EbusyWindow], counters: Counters
) -> Iterator[str]:
    """Yield the EBUSY section of a report; nothing where there is nothing to say."""
    if len(totals):
        yield f"EBUSY windows: {_summed(totals)}"
        yield from map(window_line, longest)
    yield from counter_lines(counters)


def counter_lines(counters: Counters) -> Iterator[str]:
    """Yield the walkers that met a dying mount, `-` where no tier could see them."""
    seen = plural(counters.umounts, "successful umount")
    yield f"Walkers that met a dying mount, in {seen} (- is not seen by this tier):"
    yield (
        f"  backed off {count(counters.discounted)} (in {count(counters.met)} umounts), "
        f"had to put a reference themselves {count(counters.must_put)}"
    )
    yield (
        f"  final puts stolen from plain umounts: {count(counters.stolen)} "
        f"of {count(counters.puts_known)} seen"
    )


def _parts(
    windows: Sequence[EbusyWindow], totals: WindowTotals, counters: Counters, *, evidence: bool
) -> Iterator[RenderableType]:
    if windows:
        yield Text(_summed(totals))
        yield ""
        yield _table(windows)
        rest = len(totals) - len(windows)
        if rest:
            yield Text(f"and {plural(rest, 'window')} more; --json lists all")
    else:
        yield Text("No EBUSY window.")
    if evidence:
        for number, window in enumerate(windows, 1):
            yield ""
            yield Text(f"{number}. {clean(window.path or NULL)}: {window.klass}")
            yield from (Text(f"   - {clean(fact)}") for fact in window.evidence)
    yield ""
    yield from map(Text, counter_lines(counters))


def _table(windows: Sequence[EbusyWindow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("time", no_wrap=True)
    table.add_column("class", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("calls", justify="right", no_wrap=True)
    table.add_column("lasted", justify="right", no_wrap=True)
    table.add_column("path · by whom", overflow="fold")
    for window in windows:
        who = holder_names(window) or walker_names(window)
        place = clean(window.path or window.dev or NULL)
        cells = (
            _clock(window.begin_ns),
            window.klass,
            _VERDICTS[window.spurious],
            count(window.attempts),
            duration(window.duration_ns),
            f"{place} · {who}" if who else place,
        )
        table.add_row(*map(Text, cells))
    return table


def _summed(totals: WindowTotals) -> str:
    verdicts: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for row in totals.rows():
        verdicts[_VERDICTS[row["spurious"]]] += row["windows"]
        classes[row["class"]] += row["windows"]
    return (
        f"{plural(len(totals), 'window')}: "
        + ", ".join(f"{count(n)} {name}" for name, n in verdicts.most_common())
        + " ("
        + ", ".join(f"{name} {count(n)}" for name, n in classes.most_common())
        + ")"
    )


def _name(holder: Holder) -> str:
    if holder.pid is not None:
        where = f" in namespace {holder.mntns}" if holder.of == "copy" else ""
        return clean(f"{holder.comm or '?'} {holder.pid}{where}")
    if holder.mntns is not None:
        return f"namespace {holder.mntns}"
    return clean(holder.detail or holder.comm or NULL)


def _walker(walker: Walker) -> str:
    return clean(f"{walker.comm or '?'} {walker.tid or ''}".strip() + f" ({walker.what})")


def _clock(ns: int) -> str:
    seconds, rest = divmod(ns, NS_PER_S)
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{when:%H:%M:%S}.{rest // 1_000_000:03}"


def jsonl(window: EbusyWindow, extra: Mapping[str, Any] | None = None) -> str:
    """Return a window as one JSON line; ``extra`` keys come first."""
    return json.dumps({**(extra or {}), **window_dict(window)}, ensure_ascii=False) + "\n"
