"""Puts the parts of a name together and keeps it until its operation completes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, repeat
from typing import Any

from umtrace.records.events import Array, NameKind

MAX_KEPT = 65536

Key = tuple[int, int, int]  # task, kind, time of the event it belongs to


def as_mountpoint(text: bytes | None) -> bytes | None:
    """Return the path that a MOUNTPOINT text spells from its end; None where unknown."""
    if text is None or not (text == b"\0" or text.endswith(b"\0\0")):
        return None
    return b"/" + b"/".join(reversed(text[:-1].split(b"\0")[:-1]))


class NameStore:
    """Texts by task, kind and the time of the event they belong to.

    Nearly every text comes in one part; those are moved in and out by C code alone.
    Bounded: ``forget`` drops what came first of more than MAX_KEPT.
    """

    def __init__(self) -> None:
        self._whole: dict[Key, bytes] = {}
        self._begun: dict[tuple[int, int], tuple[int, list[bytes]]] = {}

    def add(self, names: Array) -> None:
        """Take in name records, shape (n,), dtype NAME_DTYPE, in the order of the ring."""
        single = (names["part"] == 0) & (names["more"] == 0)
        whole = names if single.all() else names[single]
        keys = zip(*(whole[name].tolist() for name in ("tid", "kind", "ts_ns")), strict=True)
        texts = zip(whole["text"].tolist(), whole["len"].tolist(), strict=True)
        self._whole.update(zip(keys, (text[:length] for text, length in texts), strict=True))
        for ts, tid, kind, part, length, more, text in names[~single].tolist():
            self._add_part((tid, kind), ts, part, text[:length], last=not more)

    def _add_part(
        self, owner: tuple[int, int], ts: int, part: int, text: bytes, *, last: bool
    ) -> None:
        """Append a part; one that is missing makes all of the text unknown."""
        if part == 0:
            self._begun.pop(owner, None)  # the youngest goes to the end
            self._begun[owner] = ts, []
        begun_ts, parts = self._begun.get(owner, (0, []))
        if begun_ts != ts or part != len(parts):
            return
        parts.append(text)
        if last:
            self._whole[owner[0], owner[1], ts] = b"".join(parts)
            del self._begun[owner]

    def take(self, kind: NameKind, tids: Sequence[int], times: Sequence[int]) -> list[bytes | None]:
        """Return the texts that belong to these events of these tasks, and forget them.

        None or empty where the name was lost, incomplete, or unreadable in the task's memory.
        """
        keys = zip(tids, repeat(int(kind)), times)
        return list(map(self._whole.pop, keys, repeat(None)))

    def forget(self) -> None:
        """Drop the oldest of too many: names of operations that were never seen to begin."""
        _shorten(self._whole)
        _shorten(self._begun)


def _shorten(kept: dict[Any, Any]) -> None:
    for key in list(islice(kept, max(len(kept) - MAX_KEPT, 0))):
        del kept[key]
