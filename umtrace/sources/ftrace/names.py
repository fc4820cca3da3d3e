"""Texts as name records (``struct um_name``)."""

from __future__ import annotations

from umtrace.records.events import NAME_TEXT, NameKind

Name = tuple[int, int, int, int, int, int, bytes]


def parts(ts_ns: int, tid: int, kind: NameKind, text: bytes) -> list[Name]:
    """Return a text in parts of NAME_TEXT bytes; an empty one is one empty part."""
    texts = [text[at : at + NAME_TEXT] for at in range(0, len(text), NAME_TEXT)] or [b""]
    last = len(texts) - 1
    return [
        (ts_ns, tid, int(kind), number, len(part), int(number < last), part.ljust(NAME_TEXT, b"\0"))
        for number, part in enumerate(texts)
    ]
