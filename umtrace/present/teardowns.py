"""Teardowns for reading: a list of them, one in a line, and what their end waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from umtrace.present.escaped import dumps, with_times
from umtrace.present.terminal import WIDTH, clean
from umtrace.present.units import NULL, clock, count, duration, plural
from umtrace.teardowns import Collector, Counting, Rows, Step, Teardown
from umtrace.teardowns.collect import MOST

Numbers = Mapping[str, Any]

_HEADER = "   #  time (UTC)      lasted  umounts   GPs in a row  owner"
_RULE = "─" * WIDTH
_BELOW = " " * 6
_NAME_CHARS = 12
_STEPS = 3
_HEX = frozenset("0123456789abcdef")
_AT_MOST = "fs shutdown at most"
_UNKNOWN_SAVING = "what a shared GP saves is unknown"
_PATH_CHARS = 30
NONE = "No teardown: no umount of a known owner has a known begin and latency."
LEGEND = (
    "The longest first. GP: grace period. Waited for: the steps that the end waited for, the "
    "longest first; between umounts no call was running."
)


def owner_text(kind: str, name: str) -> str:
    """Return an owner in a few words; an id of a container is cut to 12 characters."""
    short = name[:_NAME_CHARS] if len(name) > _NAME_CHARS and set(name) <= _HEX else name
    return clean(f"{kind} {short}")


def teardowns_text(longest: Sequence[tuple[int, Teardown]], total: int) -> str:
    """Return the list of some teardowns of ``total``, with their numbers."""
    if not total:
        return NONE + "\n"
    lines = [_HEADER, _RULE]
    for number, each in longest:
        lines += _entry(number, each)
    if total > len(longest):
        lines.append(f"and {plural(total - len(longest), 'shorter teardown')} more: --all")
    return "".join(f"{line}\n" for line in [*lines, "", *_folded(LEGEND, WIDTH)])


def teardowns_json(numbered: Iterable[tuple[int, Teardown]]) -> Iterator[str]:
    """Yield a JSON text in parts: null is unknown, times as `with_times` says."""
    yield '{"teardowns": ['
    comma = ""
    for number, each in numbered:
        yield comma + "\n  " + teardown_json(number, each, {})
        comma = ","
    yield "\n]}\n"


def teardown_json(number: int, teardown: Teardown, head: Numbers) -> str:
    """Return a teardown as a JSON object on one line, with the steps of its path."""
    row = {
        **head,
        "number": number,
        **with_times(teardown.numbers()),
        "steps": _steps_data(teardown),
    }
    return dumps(row)


def teardown_line(teardown: Teardown, width: int | None = None) -> str:
    """Return one line about a teardown, for `umtrace trace`; several on a screen of ``width``."""
    numbers = teardown.numbers()
    what = plural(numbers["umounts"], "umount")  # type: ignore[arg-type]
    text = clean(
        f"{clock(teardown.begin):<12} {duration(numbers['duration_ns'])} "  # type: ignore[arg-type]
        f"{owner_text(teardown.owner.kind, teardown.owner.name)}: {what}, "
        f"{gp_text(numbers)}; {path_text(teardown)}"
    )
    return text if width is None else "\n".join(_folded(text, width=width))


def gp_text(numbers: Numbers) -> str:
    """Return the grace periods on the path: `at least 3 grace periods in a row, 12.0 ms`."""
    if not numbers["gp_in_row"]:
        return "RCU wait not known" if numbers["gp_unknown"] else "no grace period"
    least = "at least " if numbers["gp_unknown"] else ""
    number = plural(numbers["gp_in_row"], "grace period")
    row = " in a row" if numbers["gp_in_row"] > 1 else ""
    return f"{least}{number}{row}, {duration(numbers['gp_in_row_ns'])}"


def path_text(teardown: Teardown, most: int = _STEPS) -> str:
    """Return the longest steps of the critical path, and the rest of it."""
    longest = sorted(teardown.path, key=lambda step: step.begin - step.end)
    told = [
        f"{step_text(teardown.scene, step)} {duration(step.end - step.begin)}"
        for step in longest[:most]
    ]
    if rest := longest[most:]:
        spent = sum(step.end - step.begin for step in rest)
        told.append(f"{plural(len(rest), 'other')} {duration(spent)}")
    outside = sum(step.pause_ns for step in teardown.path)
    if outside:
        told.append(f"between umounts {duration(outside)}")
    return "waited for: " + ", ".join(told)


def step_text(rows: Rows, step: Step) -> str:
    """Return what a step is: a path, `ns-exit`, or either with the lock only."""
    path, origin = rows.text("path", step.row), rows.text("origin", step.row)
    text = clean(path or origin or NULL)
    text = text if len(text) <= _PATH_CHARS else "…" + text[1 - _PATH_CHARS :]
    return text if step.is_whole else f"{text} (until it gave the lock on)"


def left_out(collector: Collector | Counting) -> Iterator[str]:
    """Yield a sentence for each kind of umount that is in no teardown."""
    if collector.unplaced:
        them = plural(collector.unplaced, "umount")
        yield f"warning: {them} without a known begin or latency: in no teardown"
    if collector.ownerless:
        them = plural(collector.ownerless, "umount")
        yield f"warning: {them} without a known owner: in no teardown"
    if collector.cut:
        yield (
            f"warning: teardowns were split {plural(collector.cut, 'time')}: more than "
            f"{MOST:,} umounts within a minute"
        )


def _entry(number: int, teardown: Teardown) -> list[str]:
    numbers = teardown.numbers()
    gps = _gps(numbers)
    head = (
        f"{number:>4}  {clock(teardown.begin):<12}  {duration(numbers['duration_ns']):>8}  "  # type: ignore[arg-type]
        f"{numbers['umounts']:>7,}  {gps:>13}  "
        f"{owner_text(teardown.owner.kind, teardown.owner.name)}"
    )
    return [head, *_below(_facts(numbers)), *_below(path_text(teardown))]


def _gps(numbers: Numbers) -> str:
    least = "≥" if numbers["gp_unknown"] else ""
    if least and not numbers["gp_in_row"]:
        return NULL
    if not numbers["gp_in_row"]:
        return "none"
    return f"{least}{numbers['gp_in_row']}: {duration(numbers['gp_in_row_ns'])}"


def _facts(numbers: Numbers) -> str:
    parts = [_at_once(numbers)]
    if numbers["mounts"] is not None:
        parts.append(plural(numbers["mounts"], "mount"))
    if numbers["failed"]:
        parts.append(f"{count(numbers['failed'])} failed")
    if numbers["retries"]:
        parts.append(plural(numbers["retries"], "retry", "retries"))
    if numbers["lock_ns"] is not None:
        parts.append(f"lock wait {duration(numbers['lock_ns'])}")
    if numbers["shutdown_ns"]:
        bound = plural(numbers["shutdowns"], "fs shutdown") if numbers["shutdowns"] else _AT_MOST
        parts.append(f"{bound} {duration(numbers['shutdown_ns'])}")
    return ", ".join([*parts, *_saved(numbers)])


def _at_once(numbers: Numbers) -> str:
    if numbers["umounts"] == 1:
        return "1 umount"
    text = f"{numbers['parallelism'] or 1:.1f}"
    return "one umount after another" if text == "1.0" else f"{text} umounts at once"


def _saved(numbers: Numbers) -> list[str]:
    if numbers["gp_in_row"] + numbers["gp_unknown"] <= 1:
        return []
    saved = numbers["saved_ns"]
    return [_UNKNOWN_SAVING if saved is None else f"one shared GP saves {duration(saved)}"]


def _folded(text: str, width: int) -> list[str]:
    from umtrace.present.wrapping import wrap  # noqa: PLC0415 - not for a line into a pipe

    wide = max(width, _NAME_CHARS)
    return wrap(clean(text), wide, subsequent_indent="  ", break_long_words=False)


def _below(text: str) -> list[str]:
    from umtrace.present.wrapping import wrap_list  # noqa: PLC0415 - as above

    rest = _BELOW + "  "
    return wrap_list(clean(text), WIDTH, initial_indent=_BELOW, subsequent_indent=rest)


def _steps_data(teardown: Teardown) -> list[dict[str, object]]:
    ids = teardown.scene.of("id")
    return [
        with_times(
            {
                "id": int(ids[step.row]),
                "begin": step.begin,
                "end": step.end,
                "link": step.link.value,
                "pause_ns": step.pause_ns,
                "own": bool(teardown.mine[step.row]),
            }
        )
        for step in teardown.path
    ]
