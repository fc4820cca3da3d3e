"""EBUSY windows for reading: a table, a line each, and what a report has of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from umtrace.model.holders import Holder
from umtrace.model.windows import AFTERWARDS, CLASSES, REFUSED, EbusyWindow, Walker, window_dict
from umtrace.present.escaped import dumps, with_times
from umtrace.present.held import (
    held_short,
    held_words,
    hold_fact,
    next_steps,
    reason,
    references_named,
)
from umtrace.present.names import VERDICTS
from umtrace.present.terminal import WIDTH, clean
from umtrace.present.units import NULL, clock, count, plural
from umtrace.present.wrapping import wrap
from umtrace.stats.windows import WindowTotals

#: windows that are listed
MOST = 40
_HEADER = "   #  time (UTC)    class            verdict   calls      held  path, by whom"
_AFTER_HEADER = "   #  time (UTC)    class                                 held  path, by whom"
_STILL_IN_USE = "in use after its umount"
AFTER = "In use after an umount that succeeded (nobody got EBUSY):"
_RULE = "─"
_LEGEND = (
    "Window: the EBUSYs of one mount, up to the umount that succeeds; calls include it. "
    "Spurious: free again within --spurious-within, or only path walks were in it; real: neither."
)
#: holders of a kind that a table need not name, in words
_SEEN = {"reference": "released it"}
_SUMMED = {True: VERDICTS[True], False: VERDICTS[False]}
UNSEEN_WALKS = "not seen in this tier (or with --probes light)"
_BELOW = " " * 20
_wrapped = partial(wrap, break_long_words=False)


class Counters(Protocol):
    """Totals of walkers and final puts (``ebusy.counters.WalkCounters``)."""

    umounts: int
    discounted: int | None
    must_put: int | None
    met: int | None
    puts_known: int | None
    stolen: int | None
    held_known: int | None
    held: int | None

    def to_dict(self) -> dict[str, int | None]:
        """Return the numbers."""


def ebusy_text(
    windows: Sequence[EbusyWindow],
    totals: WindowTotals,
    counters: Counters,
    *,
    width: int = WIDTH,
    evidence: bool = False,
    damaged: bool = False,
) -> str:
    """Return the table of the first windows, and the totals of all.

    Parameters
    ----------
    evidence : bool
        Whether each window has its evidence below the tables.
    """
    none = "No EBUSY window in what could be read." if damaged else "No EBUSY window."
    lines = _lines(windows, totals, counters, width=width, evidence=evidence, none=none)
    return "".join(f"{line}\n" for line in lines)


def ebusy_json(
    windows: Iterable[EbusyWindow], totals: WindowTotals, counters: Counters
) -> Iterator[str]:
    """Yield the parts of a JSON text: null is unknown, times as `with_times` says."""
    yield '{"windows": ['
    for number, window in enumerate(windows):
        yield ("," if number else "") + "\n  " + dumps(with_times(window_dict(window)))
    rest = {"totals": totals.rows(), "counters": counters.to_dict()}
    yield "\n]," + dumps(rest, indent=2)[1:] + "\n"


def window_line(window: EbusyWindow, *, over: bool = True) -> str:
    """Return one line about a window, for `umtrace trace`."""
    who = clean(by_whom(window))
    attempts = plural(window.attempts, "call")
    what = f"EBUSY {window.klass} ({VERDICTS[window.spurious]})"
    what = "EBUSY of unknown cause" if window.klass == "unknown" else what
    what = f"{_STILL_IN_USE}: {window.klass}" if window.klass in AFTERWARDS else what
    held = f", {_held(window)}" if over else ", so far"
    attempts = "" if window.klass in AFTERWARDS else f", {attempts}"
    text = f"{what}{attempts}{held if window.klass != 'downstream' else ''}"
    return clean(f"  {text}: {window.path or NULL}" + (f": {who}" if who else ""))


def window_lines(window: EbusyWindow, width: int | None, *, over: bool) -> Iterator[str]:
    """Yield `window_line` in lines of a terminal, and below it why a cause is unknown."""
    line = window_line(window, over=over)
    yield from ([line] if width is None else wrap(line, width, subsequent_indent="      "))
    yield from reason_lines(window) if over else ()


def reason_lines(window: EbusyWindow, indent: str = "    ") -> Iterator[str]:
    """Yield why the cause of a window is unknown, and what to run next; else nothing."""
    why = reason(window)
    for text in filter(None, (why, *(f"next: {step}" for step in next_steps([window])))):
        yield from _wrapped(clean(text), WIDTH, initial_indent=indent, subsequent_indent=indent)


def _held(window: EbusyWindow) -> str:
    words = held_words(window.hold)
    return words if window.hold == (None, None) else f"held {words}"


def holder_names(window: EbusyWindow) -> str:
    """Return the holders in a few words: `nginx 123 (fd, cwd), /dev/loop0 (loop)`."""
    kinds: dict[str, list[str]] = {}
    for holder in window.holders:
        kinds.setdefault(_name(holder), []).append(_SEEN.get(holder.kind, holder.kind))
    named = [f"{name} ({', '.join(dict.fromkeys(found))})" for name, found in kinds.items()]
    return ", ".join(named[:3]) + (f", {len(named) - 3} more" if len(named) > 3 else "")  # noqa: PLR2004


def by_whom(window: EbusyWindow) -> str:
    """Return the holders, else the walkers, and how many of the references the holders have."""
    holders = holder_names(window)
    counted = references_named(window.refs, window.refs_named)
    if holders:
        return f"{counted}: {holders}" if counted else holders
    return walker_names(window)


def walker_names(window: EbusyWindow) -> str:
    """Return the walkers in a few words."""
    names = dict.fromkeys(_walker(walker) for walker in window.walkers)
    return ", ".join(list(names)[:3])


def longest_lines(longest: Sequence[EbusyWindow]) -> Iterator[str]:
    """Yield the longest windows for a report, none wider than 80."""
    for window in longest:
        line = window_line(window)
        who = clean(by_whom(window))
        fits = len(line) <= WIDTH or not who
        for part in [line] if fits else [line.removesuffix(f": {who}"), f"    by {who}"]:
            yield from _wrapped(part, WIDTH, subsequent_indent="      ")


def counter_lines(counters: Counters) -> Iterator[str]:
    """Yield the walkers that met a dying mount, and who dropped its last reference."""
    yield from unseen_use(counters)
    if walks_unseen(counters):
        yield f"Path walks at a dying mount: {UNSEEN_WALKS}"
    else:
        yield f"Path walks at a dying mount, in {plural(counters.umounts, 'successful umount')}:"
        put = f"that had to drop a reference: {count(counters.must_put)}"
        backed_off = f"walks that backed off: {count(counters.discounted)}"
        yield f"  umounts with one: {count(counters.met)}; {backed_off}; {put}"
    if counters.puts_known:
        yield (
            f"Last references of sync umounts dropped by others: {count(counters.stolen)} "
            f"of {count(counters.puts_known)} seen"
        )
    if counters.held_known:
        missing = counters.umounts - counters.held_known
        yield (
            f"Umounts with a mount that somebody else held: {count(counters.held)} "
            f"of {count(counters.held_known)} counted"
            + (f" ({count(missing)} not counted)" if missing else "")
        )


def unseen_use(counters: Counters) -> list[str]:
    """Return a sentence where nobody can know whether a mount was in use after its umount."""
    if counters.met is None and counters.puts_known is None and counters.umounts:
        return [f"In use after umount: {UNSEEN_WALKS}"]
    return []


def walks_unseen(counters: Counters) -> bool:
    """Whether nothing is known about path walks at the mounts that were unmounted."""
    return counters.discounted is None and counters.must_put is None


def summed(
    totals: WindowTotals, *, classes: bool = True, of: Collection[str] = frozenset(CLASSES)
) -> str:
    """Return how many windows had which verdict, and which class; one of no class is not named.

    Parameters
    ----------
    of : collection of str
        The classes to count.
    """
    verdicts: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for row in totals.rows():
        if row["class"] not in of:
            continue
        verdicts[_SUMMED.get(row["spurious"], "of unknown cause")] += row["windows"]
        found[row["class"]] += row["windows"]
    parts = [", ".join(f"{count(n)} {name}" for name, n in verdicts.most_common())]
    if set(of) <= AFTERWARDS:  # no verdict: nobody was refused
        parts = []
    if classes and set(found) != {"unknown"}:
        named = ", ".join(f"{clean(name)} {count(n)}" for name, n in found.most_common())
        parts.append(f"({named})")
    return f"{plural(found.total(), 'window')}: {' '.join(parts)}"


def window_text(window: EbusyWindow, number: int, width: int = WIDTH) -> str:
    """Return one window in full: its row, and each fact that its verdict rests on."""
    after = window.klass in AFTERWARDS
    lines = [_AFTER_HEADER if after else _HEADER, _RULE * width, *_row(window, number, width)]
    lines += _facts(window, number, width)
    return "".join(f"{line}\n" for line in lines)


def _lines(
    windows: Sequence[EbusyWindow],
    totals: WindowTotals,
    counters: Counters,
    *,
    width: int,
    evidence: bool,
    none: str,
) -> Iterator[str]:
    numbered = list(enumerate(windows, 1))
    refused = [(n, window) for n, window in numbered if window.klass not in AFTERWARDS]
    after = [(n, window) for n, window in numbered if window.klass in AFTERWARDS]
    total = _all(totals, of=REFUSED)
    yield from _wrapped(f"EBUSY in {total}" if total else none, width)
    yield from _table(_HEADER, refused, width)
    if after or _all(totals, of=AFTERWARDS):
        yield ""
        yield from _wrapped(f"{AFTER} {_all(totals, of=AFTERWARDS)}", width)
        yield from _table(_AFTER_HEADER, after, width)
    rest = len(totals) - len(windows)
    if rest:
        yield f"and {plural(rest, 'window')} more; --json lists all"
    if any(held_short(window.hold) == NULL for window in windows):
        yield "held -: how long is not known; `umtrace ebusy DIR N` says why"
    for step in next_steps(windows):
        yield from _wrapped(f"To find an unknown cause: {step}", width, subsequent_indent="  ")
    for number, window in numbered if evidence else ():
        yield from _facts(window, number, width)
    yield ""
    if refused:
        yield from _wrapped(_LEGEND, width)
    for line in counter_lines(counters):
        yield from _wrapped(line, width, subsequent_indent="  ")
    if any(window.holders for _, window in refused):
        yield "What holds a mount now, and how to free it: umtrace why PATH"
    if windows and not evidence:
        yield f"`umtrace ebusy DIR {windows_with_most(windows)}` shows the evidence of one window"


def windows_with_most(windows: Sequence[EbusyWindow]) -> int:
    """Return the number of the window with the most evidence, from 1."""
    return max(range(len(windows)), key=lambda place: len(windows[place].evidence)) + 1


def _all(totals: WindowTotals, *, of: Collection[str]) -> str:
    return summed(totals, of=of) if any(row["class"] in of for row in totals.rows()) else ""


def _table(header: str, numbered: Sequence[tuple[int, EbusyWindow]], width: int) -> Iterator[str]:
    if numbered:
        yield from ("", header, _RULE * width)
    for number, window in numbered:
        yield from _row(window, number, width)


def _facts(window: EbusyWindow, number: int, width: int) -> Iterator[str]:
    yield from ("", clean(f"{number}. {window.path or NULL}: {window.klass}"))
    steps = (f"next: {step}" for step in next_steps([window]))
    for fact in filter(None, (*window.evidence, hold_fact(window), *steps)):
        yield from _wrapped(f"   - {clean(fact)}", width, subsequent_indent="     ")


def _row(window: EbusyWindow, number: int, width: int) -> Iterator[str]:
    """Yield a line, and what does not fit into it on lines below its class."""
    who = by_whom(window)
    path = clean(window.path or window.dev or NULL)
    calls = "" if window.klass in AFTERWARDS else count(window.attempts)
    verdict = "" if window.klass in AFTERWARDS else VERDICTS[window.spurious]
    line = (
        f"{number:>4}  {clock(window.begin_ns)}  {clean(window.klass):<15}  {verdict:<8}"
        f"  {calls:>5}  {held_short(window.hold):>8}  "
    )
    fits = len(line) + len(path) <= width
    yield line + path if fits else line.rstrip()
    why = reason(window)
    below = [*([] if fits else [path]), *([f"by {who}"] if who else [])]
    below = [f"{' '.join(below)}{': ' if below else ''}{why}"] if why else below
    if below:
        yield from _wrapped(
            clean(" ".join(below)), width, initial_indent=_BELOW, subsequent_indent=_BELOW + "   "
        )


def _name(holder: Holder) -> str:
    if holder.pid is not None:
        where = f" in namespace {holder.mntns}" if holder.of == "copy" else ""
        return clean(f"{holder.comm or '?'} {holder.pid}{where}")
    if holder.keeper is not None:
        return clean(f"{holder.keeper}")
    if holder.mntns is not None:
        note = f": {holder.note}" if holder.note else ""
        return clean(f"namespace {holder.mntns}{note}")
    return clean(holder.detail or holder.comm or NULL)


def _walker(walker: Walker) -> str:
    return clean(f"{walker.comm or '?'} {walker.tid or ''}".strip() + f" ({walker.what})")


def jsonl(window: EbusyWindow, extra: Mapping[str, Any] | None = None) -> str:
    """Return a window as one JSON line; ``extra`` keys come first."""
    return dumps({**(extra or {}), **with_times(window_dict(window))}, ascii_only=False) + "\n"
