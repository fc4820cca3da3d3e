"""Columns and keys in the words of a reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from umtrace.model.umounts import WORDS
from umtrace.present.terminal import clean
from umtrace.present.units import plural
from umtrace.stats.groups import Key
from umtrace.stats.summarize import errno_name
from umtrace.stats.summary import GroupSummary

_CONTAINER_CHARS = 12
_PATH_CHARS = 60
#: what a key that is `-` means, if not only that it is unknown
_DASHES = {
    "mode": "no umount(2), for example the end of a mount namespace; or unknown",
    "container": "the task was in no container, or in one that was not recognized",
    "final_put": "no last reference was dropped, or by whom is unknown",
    "lock_holder_comm": "the lock was free, or who held it is unknown",
    "lock_holder_op": "the lock was free, or what its holder did is unknown",
}
#: whether an EBUSY was spurious
VERDICTS = {True: "spurious", False: "real", None: "unknown"}


def timed_text(group: GroupSummary) -> str:
    """Return which umounts the durations of a group are of: `9 umounts that did not fail`."""
    return plural(group.n_timed, "umount") + group.population


def phase_name(column: str) -> str:
    """Return the words for a duration column."""
    return WORDS[column]


def path_text(path: str | None) -> str:
    """Return a path for a sentence: of a long one the end."""
    shown = clean(path or "an unknown path")
    return shown if len(shown) <= _PATH_CHARS else f"…{shown[1 - _PATH_CHARS :]}"


def key_texts(by: Sequence[str], key: Key) -> list[str]:
    """Return the parts of a group's key as text; `-` for null, container ids cut short."""
    return [_key_text(name, part) for name, part in zip(by, key, strict=True)]


def key_label(by: Sequence[str], key: Key) -> str:
    """Return a group's key on one line: `sync`, `sync · tmpfs`, `all`."""
    parts = zip(by, key_texts(by, key), strict=True)
    # A bare "-" would not say of what.
    return " · ".join(f"{name} -" if text == "-" else text for name, text in parts) or "all"


def dash_notes(by: Sequence[str], keys: Iterable[Key]) -> list[str]:
    """Return a sentence for each key that is `-` in some group: what that means."""
    missing = [any(part is None for part in parts) for parts in zip(*keys, strict=True)]
    return [
        f"{name} -: {_DASHES.get(name, 'unknown')}"
        for name, is_missing in zip(by, missing, strict=False)
        if is_missing
    ]


def _key_text(name: str, part: str | int | None) -> str:
    if part is None:
        return "-"
    if name == "errno":
        return errno_name(int(part)) if part else "ok"
    if name == "container":
        return clean(str(part))[:_CONTAINER_CHARS]
    return clean(str(part))
