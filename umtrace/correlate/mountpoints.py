"""Reverses paths that the kernel sends from their end, with array code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from umtrace.correlate.texts import Texts, gather_texts, of_list, select_texts

_SLASH = ord("/")
_I8 = npt.NDArray[np.int64]


def reverse_components(spelled: Texts, unknown: npt.NDArray[np.bool_]) -> Texts:
    """Return the paths of MOUNTPOINT texts, which have the components from the last to the first.

    ``c NUL b NUL a NUL NUL`` is ``/a/b/c``, a single NUL is ``/``. A text with another end is
    incomplete. ``unknown``, shape (n,), marks mounts that are attached nowhere.
    """
    lengths, data = spelled.lengths, spelled.data
    if not data.size:
        return spelled
    ends = np.cumsum(lengths)
    whole = ~unknown & (lengths > 0) & (data[ends - 1] == 0)
    root = whole & (lengths == 1)
    path = whole & (lengths > 1) & (data[np.maximum(ends - 2, 0)] == 0)
    paths = _reversed(data, ends, path)
    if path.all():
        return paths
    slash = of_list([b"/"])
    index = np.where(root, len(paths.lengths), np.where(path, np.cumsum(path) - 1, -1))
    return select_texts([paths, slash], index)


def _reversed(data: npt.NDArray[np.uint8], ends: _I8, path: npt.NDArray[np.bool_]) -> Texts:
    """Return ``/a/b/c`` for the texts ``c NUL b NUL a NUL NUL``, which end at ``ends[path]``."""
    edge = data == 0
    edge[ends[ends > 0] - 1] = True
    bounds = np.append(0, np.flatnonzero(edge) + 1)  # of names, each with its NUL
    end = np.searchsorted(bounds, ends)
    last, count = end[path] - 2, np.diff(end, prepend=0)[path] - 1
    turn = np.repeat(last + np.cumsum(count) - count, count) - np.arange(count.sum())
    names = gather_texts(data, bounds, turn).data
    # a NUL b NUL c NUL for every path; the NUL at the end of one path is the first of the next.
    paths = np.append(np.uint8(0), names[:-1])
    paths[paths == 0] = _SLASH
    lengths = np.diff(ends, prepend=0)[path] - 1
    return Texts(paths, lengths)
