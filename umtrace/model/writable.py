"""Where a recording can be made: asked before probes are compiled and attached."""

from __future__ import annotations

import os
import stat
from itertools import count
from pathlib import Path

from umtrace.model.clock import utc
from umtrace.model.errors import NotPermittedError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def free_path(now_ns: int) -> Path:
    """Return a path in the working directory that nobody has taken: one of a second is guessed.

    ``now_ns`` is wall clock time. It is in the name as UTC, which the Z says: a recording is
    read in other zones than it was made in, and the same hour of a night may come twice.
    """
    stem = f"umtrace-{utc(now_ns):%Y%m%d-%H%M%S}Z"
    names = (Path(f"{stem}{f'-{n}' if n > 1 else ''}.umt") for n in count(1))
    return next(name for name in names if not os.path.lexists(name))


def check_writable(path: Path) -> None:
    """Raise where the directory of a new recording may not be written to, or others may write.

    Raises
    ------
    PermissionError
        The directory above is not writable.
    NotPermittedError
        Others could put something else in its place, or write into it.
    """
    parent = path.parent
    if not parent.is_dir():
        return
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(13, "directory is not writable; choose another with -o", str(parent))
    mode = parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise NotPermittedError(
            f"{parent}: everybody may rename what is in it; set its sticky bit (chmod +t) or "
            "choose another directory"
        )
    if path.is_symlink():
        raise NotPermittedError(
            f"{path}: is a symbolic link, which may be changed meanwhile; name its target"
        )
    if path.is_dir():
        check_ours(path, path.lstat())


def check_ours(path: Path, found: os.stat_result) -> None:
    """Raise NotPermittedError where a directory is another user's, or others may write to it."""
    if found.st_uid != os.geteuid():
        why = f"belongs to user id {found.st_uid}, who could change the recording"
    elif found.st_mode & _OTHERS_WRITE:
        why = f"others may write to it (mode {stat.S_IMODE(found.st_mode):o})"
    else:
        return
    raise NotPermittedError(f"{path}: {why}; choose a directory that is not there yet")
