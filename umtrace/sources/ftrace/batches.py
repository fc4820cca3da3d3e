"""The output of a translator: events and names as tuples (``bpf/event.h``), and their batch."""

from __future__ import annotations

import numpy as np

from umtrace.model.events import (
    EVENT_DTYPE,
    NAME_DTYPE,
    NAME_TEXT,
    EventBatch,
    Exit,
    Kind,
    NameKind,
)
from umtrace.sources.ftrace.records import Record

EventTuple = tuple[int, int, int, int, int, int, int, int, int, int, bytes]
Name = tuple[int, int, int, int, int, int, bytes]

WORD = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF


def event_of(
    kind: Kind, ts: int, cpu: int, who: tuple[int, int], *, mnt: int, ret: int, a: int = 0,
    b: int = 0, seq: int = 0, comm: bytes = b"",
) -> EventTuple:  # fmt: skip
    """Return an event of a task; each number is cut to the width of its field.

    A number that was fetched through an invalid pointer can have any value.
    """
    ret = ((ret + (1 << 31)) & WORD) - (1 << 31)
    tid, tgid = who
    return (ts, mnt & _LONG, tid, tgid, int(kind), cpu, ret, a & _LONG, b & WORD, seq, comm)


def whole(shown: bytes) -> bytes:
    """Return the path in the event of a system call; empty if the kernel has visibly changed it.

    Since 7.0 the kernel cuts a text that is longer than its buffer and adds ``...``
    (299ea67e6a2b, tracing: Add a config and syscall_user_buf_size file to limit amount written).
    It also writes a dot for each byte that it takes for unprintable. If that byte was part of a
    UTF-8 character, the rest is not valid UTF-8; if it was a control character, nothing shows it.
    """
    if shown.endswith(b"..."):
        return b""
    try:
        shown.decode()
    except UnicodeDecodeError:
        return b"" if b"." in shown else shown
    return shown


def parts(ts_ns: int, tid: int, kind: NameKind, text: bytes) -> list[Name]:
    """Return a text in parts of NAME_TEXT bytes; an empty one is one empty part."""
    texts = [text[at : at + NAME_TEXT] for at in range(0, len(text), NAME_TEXT)] or [b""]
    last = len(texts) - 1
    return [
        (ts_ns, tid, int(kind), number, len(part), int(number < last), part.ljust(NAME_TEXT, b"\0"))
        for number, part in enumerate(texts)
    ]


class Batches:
    """Collects events and names; ``take`` returns them as a batch."""

    def __init__(self) -> None:
        self.events: list[EventTuple] = []
        self.names: list[Name] = []

    def alone(self, r: Record, tgid: int, ret: int) -> None:
        """Add the exit of an umount that began before the trace."""
        event = event_of(Kind.EXIT, r.ts_ns, r.cpu, (r.tid, tgid), mnt=0, ret=ret, a=Exit.ALONE)
        self.events.append(event)

    def take(self) -> EventBatch:
        """Return everything that was collected, and start again with nothing."""
        events = np.array(self.events, EVENT_DTYPE)
        names = np.zeros(len(self.names), NAME_DTYPE)
        if self.names:
            names[:] = self.names
        self.events.clear()
        self.names.clear()
        return EventBatch(events, names)
