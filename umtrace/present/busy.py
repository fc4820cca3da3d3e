"""The clause of a report's first sentence about EBUSY: which mount, how long, who held it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from umtrace.model.holders import Holder
from umtrace.model.windows import REFUSED, EbusyWindow
from umtrace.present.ebusy import holder_names
from umtrace.present.held import held_words
from umtrace.present.names import VERDICTS, path_text
from umtrace.present.terminal import clean
from umtrace.present.units import count, duration, plural
from umtrace.stats.summary import GroupSummary
from umtrace.stats.windows import WindowTotals

_HELD = {
    "cwd": "was in {}",
    "root": "had {} as its root directory",
    "exe": "ran {}",
    "maps": "had {} mapped",
    "fd": "had {} open",
}


def begins_busy(
    total: GroupSummary, windows: WindowTotals, longest: Sequence[EbusyWindow]
) -> Iterator[str]:
    """Yield the mount that was busy longest, by whom, and how many umounts failed for EBUSY."""
    refused = [window for window in longest if window.klass in REFUSED]
    calls = total.errnos.get("EBUSY", 0)
    failed = f"{plural(calls, 'umount')} failed with EBUSY"
    if refused and refused[0].path:
        yield _window(refused[0], alone=windows.n_refused == 1)
    if windows.n_refused > 1:
        failed += f"{_verdicts(windows)}, for {duration(windows.busy_ns)} together"
    yield failed


def ends_busy(
    total: GroupSummary, windows: WindowTotals, longest: Sequence[EbusyWindow]
) -> Iterator[str]:
    """Yield how many umounts failed for EBUSY, and the holder of all if they have one."""
    calls = total.errnos.get("EBUSY", 0)
    if not calls:
        return
    text = f"{count(calls)} failed with EBUSY{_verdicts(windows)}"
    refused = [window for window in longest if window.klass in REFUSED]
    names = {holder_names(window) for window in refused}
    if len(refused) == windows.n_refused and len(names) == 1 and (name := names.pop()):
        text += f", held by {name}"
        paths = {window.path for window in refused}
        text += f": {path_text(paths.pop())}" if len(paths) == 1 and None not in paths else ""
    yield text


def _verdicts(windows: WindowTotals) -> str:
    found: Counter[bool | None] = Counter()
    for row in windows.rows():
        if row["class"] in REFUSED:
            found[row["spurious"]] += row["windows"]
    whats = [_of_verdict(verdict, number) for verdict, number in found.most_common()]
    if len(whats) == 1 and found.total() > 1:
        whats = [f"all {whats[0].partition(' ')[2]}"]
    return f" ({plural(found.total(), 'window')}: {', '.join(whats)})" if whats else ""


def _of_verdict(verdict: bool | None, number: int) -> str:
    if verdict is None:
        return f"{count(number)} of unknown cause"
    return f"{count(number)} {VERDICTS[verdict]}"


def _window(window: EbusyWindow, *, alone: bool) -> str:
    """Return a window: `/mnt was busy for at least 1.2 s: sleep (77) had data.log open`."""
    known = window.hold != (None, None)
    lasted = f"for {held_words(window.hold)}" if known else "(its end was not seen)"
    text = f"{path_text(window.path)} was busy {'' if alone else 'longest, '}{lasted}"
    who = _who(window)
    return f"{text}: {who}" if who else text


def _who(window: EbusyWindow) -> str:
    if len(window.holders) == 1 and (text := _task(window.holders[0], window.path or "")):
        return text
    names = holder_names(window)
    return f"held by {names}" if names else ""


def _task(holder: Holder, path: str) -> str:
    """Return what a process did there; empty for another kind of holder."""
    said = _HELD.get(holder.kind)
    if said is None or holder.pid is None or not holder.detail or holder.of != "mount":
        return ""
    what = holder.detail.removeprefix(f"{path.rstrip('/')}/") or holder.detail
    return f"{clean(holder.comm or '?')} ({holder.pid}) {said.format(path_text(what))}"
