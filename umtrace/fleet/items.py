"""What lies in the folders that a command names: summaries and recordings, by host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from umtrace.fleet.about import day_of, host_of
from umtrace.fleet.storage import LocalFolder, Storage, Stored, storage_of
from umtrace.model.errors import UmtraceError, UsageError
from umtrace.recording.layout import META
from umtrace.recording.reader import read_meta

_DAY_NS = 86_400_000_000_000
_MOST_META = 64 << 20
_SUFFIX = ".parquet"

#: half-open, ns of UTC; None is no limit
Span = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A summary or a recording.

    Attributes
    ----------
    where, path : str
        The folder as it was given, and the place below it; a recording's is its directory.
    host : str or None
        By the name of its folder, or by the meta.json of a recording; None is unknown.
    files : tuple of Stored
        Of a recording; a summary has one.
    """

    where: str
    path: str
    kind: Literal["summary", "recording"]
    host: str | None
    files: tuple[Stored, ...]

    @property
    def name(self) -> str:
        """Its place, for messages."""
        return f"{self.where.rstrip('/')}/{self.path}" if self.path else self.where

    @property
    def changed_ns(self) -> int | None:
        """When it was written, by the clock of the storage."""
        return max((f.changed_ns for f in self.files if f.changed_ns is not None), default=None)


@dataclass(frozen=True, slots=True)
class Task:
    """All that there is of one host: what one step of the map reads."""

    host: str | None
    items: tuple[Item, ...]


def tasks_in(folders: Sequence[str], span: Span = (None, None)) -> list[Task]:
    """Return a task for each host of these folders, in order of their names.

    Raises
    ------
    UsageError
        A folder does not exist, or there is neither a summary nor a recording in all of them.
    """
    by_host: dict[str | None, dict[Item, None]] = {}
    for folder in dict.fromkeys(folders):
        for item in _items(storage_of(folder), span):
            by_host.setdefault(item.host, {})[item] = None
    if not by_host:
        raise UsageError(f"{', '.join(folders)}: neither a summary nor a recording is there")
    tasks = [
        Task(host, tuple(sorted(items, key=lambda item: item.name)))
        for host, items in sorted(by_host.items(), key=lambda pair: (pair[0] is None, pair[0]))
    ]
    unknown = [Task(None, (item,)) for task in tasks if task.host is None for item in task.items]
    return [task for task in tasks if task.host is not None] + unknown


def _items(storage: Storage, span: Span) -> Iterator[Item]:
    files = list(storage.files())
    recordings = {_folder(file.path) for file in files if _name(file.path) == META}
    parts: dict[str, list[Stored]] = {folder: [] for folder in recordings}
    for file in files:
        folder = _recording_of(file.path, recordings)
        if folder is not None:
            parts[folder].append(file)
        elif (host := _summary_host(file.path, span)) is not None:
            yield Item(
                where=storage.where, path=file.path, kind="summary", host=host, files=(file,)
            )
    for folder, inside in parts.items():
        yield Item(
            where=storage.where, path=folder, kind="recording",
            host=_host_of_recording(storage, folder), files=tuple(inside),
        )  # fmt: skip


def _summary_host(path: str, span: Span) -> str | None:
    """Return the host of a summary by its path; None for another file, or another day."""
    host, day, name = ([""] * 3 + path.split("/"))[-3:]
    which, when = host_of(host), day_of(day)
    if which is None or when is None or not name.endswith(_SUFFIX) or name.startswith("."):
        return None
    try:
        begin = int(datetime.fromisoformat(when).replace(tzinfo=timezone.utc).timestamp())
    except ValueError:
        return None
    begin *= 1_000_000_000
    first, last = span
    outside = (first is not None and begin + _DAY_NS <= first) or (
        last is not None and begin >= last
    )
    return None if outside else which


def _recording_of(path: str, recordings: set[str]) -> str | None:
    folder = _folder(path)
    while True:
        if folder in recordings:
            return folder
        if not folder:
            return None
        folder = _folder(folder)


def _host_of_recording(storage: Storage, folder: str) -> str | None:
    try:
        if isinstance(storage, LocalFolder):
            return read_meta(Path(storage.where, folder)).host
        with storage.local(f"{folder}/{META}".lstrip("/"), _MOST_META) as copy:
            whole = copy.parent / META
            copy.rename(whole)
            return read_meta(whole.parent).host
    except (UmtraceError, OSError):
        return None  # the map says what is wrong


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]
