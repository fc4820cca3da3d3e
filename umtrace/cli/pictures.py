"""Imports matplotlib so that it takes nothing from where others may write.

It reads a ``matplotlibrc`` of the working directory before any other, and reads and writes a
folder below HOME, which sudo may leave to the user who called it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from umtrace.model.activity import NOW

_FOLDER = "MPLCONFIGDIR"


def import_matplotlib() -> None:
    """Import it; later imports find it as it is now."""
    if os.geteuid() == 0 and not _is_roots(os.environ.get(_FOLDER)):
        os.environ[_FOLDER] = _of_root() or _for_now()
    NOW.note("loading matplotlib")
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir("/")
    try:
        import_module("matplotlib")
    finally:
        os.fchdir(here)
        os.close(here)


def _is_roots(folder: str | os.PathLike[str] | None) -> bool:
    if not folder:
        return False
    try:
        found = Path(folder).lstat()
    except OSError:
        return False
    return found.st_uid == 0 and not found.st_mode & 0o022


def _of_root() -> str | None:
    """Return root's own folder, whatever sudo left in HOME; None where it has none."""
    from umtrace.sources.bpf.program_cache import ProgramCache

    kept = ProgramCache.of_this_user().folder
    if kept is None:
        return None
    folder = kept / "matplotlib"
    with suppress(OSError):
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder) if _is_roots(kept) and _is_roots(folder) else None


def _for_now() -> str:
    folder = tempfile.mkdtemp(prefix="umtrace-matplotlib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
