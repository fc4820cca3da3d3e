"""The folder outside the checkout that keeps kernels and images."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError, NoSpaceError

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


def folder() -> Path:
    """Return the cache's folder, made when it is not there."""
    chosen = os.environ.get("UMTRACE_LAB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(chosen) if chosen else Path(base) / "umtrace-lab"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot make the cache: {error}; set UMTRACE_LAB_CACHE") from error
    return path.resolve()


@contextmanager
def lock(root: Path) -> Iterator[None]:
    """Hold the cache for one writer; readers need no lock, as results appear by rename."""
    with (root / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def workspace(root: Path) -> Iterator[Path]:
    """Give a temporary folder on the cache's own disk, so that a rename out of it is atomic."""
    root.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=".tmp-", dir=root))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def need(root: Path, mebibytes: int, purpose: str) -> None:
    """Refuse to start something the disk has no room for."""
    free = shutil.disk_usage(root).free // MIB
    if free < mebibytes:
        raise NoSpaceError(
            f"{purpose} needs {mebibytes} MiB, {root} has {free} MiB free: make room, run "
            "`python -m lab clean`, or set UMTRACE_LAB_CACHE to another disk"
        )


def digest(*parts: str) -> str:
    """Return a short name for everything that `parts` say."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def point(link: Path, target: Path) -> None:
    """Make `link` a relative symbolic link to `target`, replacing an older one at once."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)


def clean(root: Path, *, keep: set[Path], everything: bool = False) -> int:
    """Remove kernels and images that are not in `keep`; return the bytes freed.

    A running guest has its files open and is not disturbed.
    """
    made = (root.glob(each) for each in ("kernels/store/*", "built/store/*", "*.ext4", "**/.tmp-*"))
    stored = [path for each in made for path in each]
    if everything:
        stored = [path for path in root.iterdir() if path.name != "lock"]
    doomed = stored if everything else [path for path in stored if path not in keep]
    freed = 0
    for path in doomed:
        freed += _size(path)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return freed


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_blocks * 512 for file in files if not file.is_dir())
