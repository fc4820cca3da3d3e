"""Opens the items of a host: what each says about itself, and its cells when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from umtrace.fleet.about import About
from umtrace.fleet.file import MOST_BYTES, SummaryFile
from umtrace.fleet.items import Item
from umtrace.fleet.storage import LocalFolder, Storage, scratch, storage_of
from umtrace.fleet.summarize import summaries_of
from umtrace.recording import Recording

_MOST_OF_A_RECORDING = 16 << 30
#: tables of a recording that are not read
_UNREAD = ("events-", "names-")


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour out of an item."""

    item: Item
    about: About
    cells: Callable[[], pa.Table]
    damaged: bool = False  #: rows that had been recorded could not be read


def hours_of(item: Item, stack: ExitStack) -> list[Hour]:
    """Return the hours of an item; copies are removed when the stack is closed.

    Raises
    ------
    UmtraceError, OSError
        It cannot be read.
    """
    storage = storage_of(item.where)
    if item.kind == "summary":
        file = SummaryFile(stack.enter_context(storage.local(item.path, MOST_BYTES)))
        return [Hour(item, file.about, file.cells)]
    recording = Recording.open(_local_recording(item, storage, stack))
    found = summaries_of(recording)
    return [
        Hour(item, about, lambda table=table: table, recording.damaged)  # type: ignore[misc]
        for about, table in found
    ]


def _local_recording(item: Item, storage: Storage, stack: ExitStack) -> Path:
    if isinstance(storage, LocalFolder):
        return Path(storage.where, item.path)
    whole = stack.enter_context(scratch()) / "rec.umt"
    left = _MOST_OF_A_RECORDING
    for file in item.files:
        below = file.path.removeprefix(item.path).lstrip("/")
        if below.rpartition("/")[2].startswith(_UNREAD):
            continue
        target = whole.joinpath(*(part for part in below.split("/") if part not in {"", ".", ".."}))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with storage.local(file.path, left) as copy:
            left -= copy.stat().st_size
            copy.rename(target)
    return whole
