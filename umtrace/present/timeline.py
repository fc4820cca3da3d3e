"""The timeline of one teardown, as text of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from umtrace.present.teardowns import gp_text, owner_text
from umtrace.present.terminal import WIDTH, clean
from umtrace.present.units import NULL, clock, duration, plural
from umtrace.present.waited import behind_text
from umtrace.present.wrapping import wrap
from umtrace.stats.buckets import Int64
from umtrace.stats.placement import PLACED, place
from umtrace.stats.summarize import errno_name
from umtrace.teardowns import Teardown, behind

#: the letter of each phase in a bar
LETTERS = {
    "lookup_ns": "p",
    "lock_ns": "L",
    "tree_ns": "t",
    "rcu_ns": "G",
    "put_ns": "m",
    "other_ns": "-",
    "shutdown_ns": "S",
}
LEGEND = (
    "*: on the critical path; ~: by the order of time alone. p path lookup,",
    "L namespace lock, t umount tree, G RCU wait, m mntput loop, S fs shutdown,",
    "- other. Phases lie in their order; a column shows the longest.",
)
_BAR = 32
_MOST = 40
_WAITS = 5
_PATH = WIDTH - _BAR - 26


def timeline_text(
    teardown: Teardown, number: int, *, seen: bool, whole: bool = False
) -> Iterator[str]:
    """Yield the lines of a teardown.

    Parameters
    ----------
    seen : bool
        Whether the tier sees who has the namespace lock.
    whole : bool
        Whether all umounts are listed, not 40.
    """
    numbers = teardown.numbers()
    owner = owner_text(teardown.owner.kind, teardown.owner.name)
    yield f"{number}. {owner} (known by {teardown.owner.by or NULL}), {clock(teardown.begin)} UTC"
    yield (
        f"   {plural(len(teardown.rows), 'umount')} in {duration(teardown.end - teardown.begin)}, "
        f"{gp_text(numbers)}"
    )
    yield ""
    yield f"{'':<2} {'after':>8}  {'umount':<{_PATH}}  {'':<{_BAR}}  {'took':>8}"
    shown = _shown(teardown, whole=whole)
    marks = {step.row: "~" if step.link.value == "order" else "*" for step in teardown.path}
    bars = _bars(teardown, shown)
    for place_, bar in zip(shown.tolist(), bars, strict=True):
        yield _line(teardown, place_, marks.get(place_, " "), bar)
    left = _listed(teardown).size - shown.size
    if left:
        yield f"and {plural(left, 'shorter umount')} more: --all"
    yield from ("", *LEGEND)
    yield from _waits(teardown, seen=seen, whole=whole)


def _listed(teardown: Teardown) -> Int64:
    """Return its umounts, and those of others that are on the path, in the order of begin."""
    wanted = teardown.mine.copy()
    wanted[[step.row for step in teardown.path]] = True
    return np.flatnonzero(wanted)


def _shown(teardown: Teardown, *, whole: bool) -> Int64:
    listed = _listed(teardown)
    if whole or listed.size <= _MOST:
        return listed
    took = (teardown.scene.end - teardown.scene.begin)[listed]
    return np.sort(listed[np.argsort(-took, kind="stable")[:_MOST]])


def _line(teardown: Teardown, at: int, mark: str, bar: str) -> str:
    rows = teardown.scene
    after = max(int(rows.begin[at]) - teardown.begin, 0)
    took = duration(int(rows.end[at] - rows.begin[at]))
    return f"{mark:<2} {duration(after):>8}  {_what(teardown, at):<{_PATH}}  {bar}  {took:>8}"


def _what(teardown: Teardown, at: int) -> str:
    rows = teardown.scene
    text = clean(rows.text("path", at) or rows.text("origin", at) or NULL)
    error = int(rows.of("errno")[at])
    note = f" {errno_name(error)}" if error > 0 else ""
    note += "" if teardown.mine[at] else " (other)"
    room = _PATH - len(note)
    return (text if len(text) <= room else "…" + text[1 - room :]) + note


def _bars(teardown: Teardown, shown: Int64) -> Iterator[str]:
    """Yield the bar of each umount: in each column the phase that takes most of it."""
    rows = teardown.scene
    begins, ends = place(rows.batch)
    edges = np.linspace(0, max(teardown.end - teardown.begin, 1), _BAR + 1)
    for at in shown.tolist():
        offset = int(rows.begin[at]) - teardown.begin
        low, high = begins[:, at, None] + offset, ends[:, at, None] + offset
        inside = np.clip(np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1]), 0, None)
        letters = [LETTERS[PLACED[n]] for n in inside.argmax(axis=0)]
        cells = [c if some else " " for c, some in zip(letters, inside.any(axis=0), strict=True)]
        column = min(int(max(offset, 0) * _BAR / max(teardown.end - teardown.begin, 1)), _BAR - 1)
        cells[column] = cells[column].strip() or "|"
        yield "".join(cells)


def _waits(teardown: Teardown, *, seen: bool, whole: bool) -> Iterator[str]:
    found = behind(teardown.scene, teardown.mine)
    if not found:
        return
    yield ""
    yield "Waits for the namespace lock, the longest first:"
    for wait in found if whole else found[:_WAITS]:
        what = teardown.scene.text("path", wait.row) or NULL
        text = clean(f"{what}: {behind_text(wait, teardown.scene, seen=seen)}")
        yield from wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    if len(found) > _WAITS and not whole:
        yield f"  and {plural(len(found) - _WAITS, 'shorter wait')} more: --all"
