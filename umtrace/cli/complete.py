"""What the shell completes: names of this umtrace, and recordings that are there."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[str]]

_MOST = 1000  # entries of a directory that are looked at
_META = "meta.json"
_FILESYSTEMS = Path("/proc/filesystems")


class RecordingPath(click.Path):
    """The directory of a recording; completes to recordings only, here and one directory below."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the recordings whose path begins so."""
        del ctx, param
        start = incomplete.rpartition("/")[0] + "/" if "/" in incomplete else ""
        found = _recordings(start)
        return [CompletionItem(path) for path in sorted(found) if path.startswith(incomplete)]


def _recordings(start: str) -> Iterator[str]:
    for entry in _directories(Path(start or ".")):
        if (entry / _META).is_file():
            yield f"{start}{entry.name}"
            continue
        for below in _directories(entry):
            if (below / _META).is_file():
                yield f"{start}{entry.name}/{below.name}"


def _directories(folder: Path) -> list[Path]:
    try:
        return [entry for entry in islice(folder.iterdir(), _MOST) if entry.is_dir()]
    except OSError:  # closed to us, or gone
        return []


def one_of(names: Callable[[], Iterable[str]]) -> Completer:
    """Return a completer of one name, in whatever case it is begun."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in names() if name.lower().startswith(incomplete.lower())]

    return complete


def several_of(names: Callable[[], Iterable[str]]) -> Completer:
    """Return a completer of names with commas between: the last one is completed."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [
            f"{before}{comma}{name}"
            for name in names()
            if name.startswith(last) and name not in taken
        ]

    return complete


def keys() -> Iterable[str]:
    """Return what `--by` takes."""
    from umtrace.model.umounts import Use, columns_with

    return (*columns_with(Use.KEY), "none")


def columns_of_umounts() -> Iterable[str]:
    """Return the columns of umounts."""
    from umtrace.model.umounts import COLUMNS

    return (column.name for column in COLUMNS)


def errnos() -> Iterable[str]:
    """Return the results of a call, by name."""
    return ("ok", *errno.errorcode.values())


def fstypes() -> Iterable[str]:
    """Return the file systems that this kernel has loaded."""
    try:
        lines = _FILESYSTEMS.read_text("ascii", "replace").splitlines()
    except OSError:
        return ()
    return (line.split()[-1] for line in lines if line.strip())


def tiers() -> Iterable[str]:
    """Return what `--tier` takes."""
    from umtrace.model.tiers import names

    return ("auto", *names())


def checked_tiers() -> Iterable[str]:
    """Return what `--tier` of `selftest` takes."""
    from umtrace.model.tiers import names

    return ("all", *names())


def fleet_keys() -> Iterable[str]:
    """Return what `--by` of `fleet` takes."""
    return ("host", "kernel", "tier", "latency_bound", "mode", "origin", "owner", "none")
