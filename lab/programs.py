"""Compiled BPF programs of earlier guests, so that the next one need not compile.

Compiling takes minutes under emulation. A guest gets the files of umtrace's own cache, and what it
compiled comes back. Before umtrace loads a file, it checks its sum, and that the sources, the
kernel and the compiler are the same: a file that is too old is not used.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path

from lab import cache
from lab.members import owned_by_root

#: umtrace's cache in the guest, as root
IN_GUEST = "var/cache/umtrace"
#: the same, among the files that come back
RETURNED = ".programs"
#: files of a kernel that are stored; umtrace itself stores as many
MOST = 32


def folder(root: Path, kernel: str) -> Path:
    """Return the folder of a kernel's programs, which may not be there."""
    return root / "programs" / kernel


def add(archive: tarfile.TarFile, programs: Path) -> None:
    """Add what is stored to the files of a job."""
    files = _files(programs)
    if not files:
        return
    place = tarfile.TarInfo(IN_GUEST)
    place.type, place.mode = tarfile.DIRTYPE, 0o700
    archive.addfile(place)
    for path in files:
        with suppress(FileNotFoundError):  # another run dropped it
            archive.add(path, f"{IN_GUEST}/{path.name}", filter=_of_root)


def take(returned: Path, programs: Path) -> None:
    """Move what a guest returned to the store, and drop what was not used for longest."""
    found = _files(returned)
    if found:
        programs.mkdir(parents=True, exist_ok=True)
        with cache.workspace(programs.parent) as place:
            for path in found:
                # By rename on one disk: a run that starts now sees a whole file.
                shutil.move(path, place / path.name)
                (place / path.name).replace(programs / path.name)
    shutil.rmtree(returned, ignore_errors=True)
    for path in _files(programs)[MOST:]:
        path.unlink(missing_ok=True)


def _files(programs: Path) -> list[Path]:
    """Return the files, the last used first."""
    found: list[tuple[float, Path]] = []
    if programs.is_dir():
        for entry in os.scandir(programs):
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    found.append((entry.stat().st_mtime, Path(entry.path)))
    return [path for _when, path in sorted(found, reverse=True)]


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o600
    return owned_by_root(member)
