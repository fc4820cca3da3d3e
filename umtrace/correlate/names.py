"""Puts the parts of a path together and keeps it until its operation completes."""

from __future__ import annotations

from collections import deque

from umtrace.records.events import Array, NameKind

MAX_TASKS = 65536


class _Path:
    """The parts of one path; a part that is missing makes all of it unknown."""

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
        path = b"".join(self._parts)
        return path.decode("utf-8", "backslashreplace") if self._whole and path else None


class PathStore:
    """Paths by task, each under the time of the ENTER event it belongs to.

    Bounded: of more than MAX_TASKS tasks the one heard of longest ago is forgotten.
    """

    def __init__(self) -> None:
        self._tasks: dict[int, deque[_Path]] = {}

    def add(self, names: Array) -> None:
        """Take in name records, shape (n,), dtype NAME_DTYPE, in the order of the ring."""
        for ts, tid, kind, part, length, more, text in names.tolist():
            if kind != NameKind.PATH:
                continue
            paths = self._tasks.setdefault(tid, deque())
            if part == 0:
                paths.append(_Path(ts))
            if paths and paths[-1].ts == ts:
                paths[-1].append(part, text[:length], last=not more)
        while len(self._tasks) > MAX_TASKS:
            del self._tasks[next(iter(self._tasks))]

    def take(self, tid: int, ts: int) -> str | None:
        """Return the path of the operation that began at ``ts`` and forget what is older.

        None where the name was lost, incomplete, or unreadable in the task's memory.
        """
        paths = self._tasks.get(tid)
        found = None
        while paths and paths[0].ts <= ts:
            found = paths.popleft()
        if paths is not None and not paths:
            del self._tasks[tid]
        return found.text() if found and found.ts == ts else None
