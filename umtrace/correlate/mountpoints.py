"""Paths that the kernel spells from their end, turned round by array code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from umtrace.correlate.texts import Texts, placed

_SLASH = ord("/")
_I8 = npt.NDArray[np.int64]


def turned(spelled: Texts, unknown: npt.NDArray[np.bool_]) -> Texts:
    """Return the paths that MOUNTPOINT texts spell from their end.

    ``c NUL b NUL a NUL NUL`` is ``/a/b/c``, a single NUL is ``/``; a text that does not end so
    was cut short. ``unknown``, shape (n,), marks what is attached nowhere.
    """
    size, lengths = len(spelled.lengths), spelled.lengths
    if not spelled.data.size:
        return spelled
    ends = np.cumsum(lengths)
    whole = ~unknown & (lengths > 0) & (spelled.data[ends - 1] == 0)
    root = whole & (lengths == 1)
    path = whole & (lengths > 1) & (spelled.data[np.maximum(ends - 2, 0)] == 0)
    last = np.zeros(spelled.data.size, np.bool_)
    last[ends[path] - 1] = True
    body = spelled.data[np.repeat(path, lengths) & ~last]
    paths = Texts(_names_turned(body, lengths[path] - 1), lengths[path] - 1)
    if not root.any() and path.all():
        return paths
    roots = np.flatnonzero(root)
    slashes = Texts(np.full(roots.size, _SLASH, np.uint8), np.ones(roots.size, np.int64))
    return placed(size, [(np.flatnonzero(path), paths), (roots, slashes)])


def _names_turned(body: npt.NDArray[np.uint8], lengths: _I8) -> npt.NDArray[np.uint8]:
    """Return ``c NUL b NUL a NUL`` as ``/a/b/c`` for texts one after the other."""
    end = np.flatnonzero(body == 0)  # of each name
    begin = np.append(0, end[:-1] + 1)
    text_end = np.cumsum(lengths)
    text = np.searchsorted(text_end, end, side="right")
    slash = text_end[text] - lengths[text] + text_end[text] - (end + 1)
    goes_to = np.arange(body.size) + np.repeat(slash + 1 - begin, end - begin + 1)
    goes_to[end] = slash
    out = np.empty_like(body)
    out[goes_to] = body
    out[slash] = _SLASH
    return out
