"""The wire format of protocol buffers, as much of it as a writer needs.

A field is its number and wire type, then a varint, or a length and bytes.
"""

from __future__ import annotations

_VARINT, _BYTES = 0, 2


def varint(value: int) -> bytes:
    """Return a non-negative integer, seven bits to a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """Return an integer field (uint, enum, bool, or int64, negative ones included)."""
    return varint(field << 3 | _VARINT) + varint(value & (2**64 - 1))


def message(field: int, *parts: bytes) -> bytes:
    """Return a field that holds a message made of these fields, or plain bytes."""
    body = b"".join(parts)
    return varint(field << 3 | _BYTES) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    """Return a string field."""
    return message(field, value.encode("utf-8", "replace"))
