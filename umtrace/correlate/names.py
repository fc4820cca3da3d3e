"""Puts the parts of a name together and keeps it until its operation completes."""

from __future__ import annotations

from collections import deque

from umtrace.records.events import Array, NameKind

MAX_KEPT = 65536


class _Text:
    """The parts of one text; a part that is missing makes all of it unknown."""

    __slots__ = ("_parts", "_whole", "ts")

    def __init__(self, ts: int) -> None:
        self.ts = ts
        self._parts: list[bytes] = []
        self._whole = False

    def append(self, part: int, text: bytes, *, last: bool) -> None:
        if part == len(self._parts):
            self._parts.append(text)
            self._whole = last

    def text(self) -> str | None:
        """Return the whole text, None where it is not whole."""
        path = b"".join(self._parts)
        return path.decode("utf-8", "backslashreplace") if self._whole and path else None


def as_mountpoint(text: str | None) -> str | None:
    """Return the path that a MOUNTPOINT text spells from its end; None where unknown."""
    if text is None or not (text == "\0" or text.endswith("\0\0")):
        return None
    return "/" + "/".join(reversed(text[:-1].split("\0")[:-1]))


class NameStore:
    """Texts by task and kind, each under the time of the event it belongs to.

    Bounded: of more than MAX_KEPT entries the one begun longest ago is forgotten.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[int, int], deque[_Text]] = {}

    def add(self, names: Array) -> None:
        """Take in name records, shape (n,), dtype NAME_DTYPE, in the order of the ring."""
        for ts, tid, kind, part, length, more, text in names.tolist():
            texts = self._tasks.setdefault((tid, kind), deque())
            if part == 0:
                texts.append(_Text(ts))
            if texts and texts[-1].ts == ts:
                texts[-1].append(part, text[:length], last=not more)
        while len(self._tasks) > MAX_KEPT:
            del self._tasks[next(iter(self._tasks))]

    def take(self, kind: NameKind, tid: int, ts: int) -> str | None:
        """Return the text that belongs to the event at ``ts`` and forget what is older.

        None where the name was lost, incomplete, or unreadable in the task's memory.
        """
        key = (tid, int(kind))
        texts = self._tasks.get(key)
        found = None
        while texts and texts[0].ts <= ts:
            found = texts.popleft()
        if texts is not None and not texts:
            del self._tasks[key]
        return found.text() if found and found.ts == ts else None
