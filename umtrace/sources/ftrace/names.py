"""Texts as name records (``struct um_name``)."""

from __future__ import annotations

from umtrace.model.events import NAME_TEXT, NameKind

Name = tuple[int, int, int, int, int, int, bytes]


def whole(shown: bytes) -> bytes:
    """Return a path as the event of a system call shows it, empty if that is known not to be it.

    Since 7.0 the kernel writes ``...`` behind the part of a longer text that its buffer takes
    (299ea67e6a2b, tracing: Add a config and syscall_user_buf_size file to limit amount written),
    and a dot for each byte that it calls unprintable. Of those in a UTF-8 character
    the rest is no UTF-8. A control character alone leaves no trace of that.
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
