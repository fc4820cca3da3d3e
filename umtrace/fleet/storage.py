"""Where summaries and recordings lie: a local folder, or object storage by its URL.

What is listed was written by others. No link is followed, nothing but regular files is opened,
and no name out of a file's content becomes a path.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from umtrace.model.errors import DamagedInputError, UsageError
from umtrace.model.whole_file import check_parent, written_whole

_DEEPEST = 6  # folders below the one that was given


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One file: its path below its folder, with slashes; bytes; ns since the epoch or None."""

    path: str
    size: int
    changed_ns: int | None = None


class Storage(Protocol):
    """A folder, wherever it is."""

    where: str  #: as it was given

    def files(self) -> Iterator[Stored]:
        """Yield all files, in order of their paths; UsageError where there is no such folder."""

    def local(self, path: str, most: int) -> AbstractContextManager[Path]:
        """Give a file of at most ``most`` bytes a local path, for a while."""

    def check(self) -> None:
        """Raise UsageError where `put` would have to make more than the folder itself."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file that appears whole or not at all; an older one is replaced."""


def storage_of(where: str) -> Storage:
    """Return the storage of a folder or a URL, such as ``s3://bucket/summaries``."""
    if "://" not in where:
        return LocalFolder(where)
    if where.startswith("file://"):
        return LocalFolder(where.removeprefix("file://"))
    from umtrace.fleet.remote import RemoteFolder  # noqa: PLC0415 - an extra

    return RemoteFolder(where)


class LocalFolder:
    """A folder of this host."""

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self.where = os.fspath(where)

    def files(self) -> Iterator[Stored]:
        """Yield all files, in order of their paths; UsageError where there is no such folder."""
        if not Path(self.where).is_dir():
            raise UsageError(f"{self.where}: no such directory")
        yield from _walk(self.where, "", _DEEPEST)

    @contextmanager
    def local(self, path: str, most: int) -> Iterator[Path]:
        """Return where it is; who opens it refuses links."""
        file = Path(self.where, path)
        if file.lstat().st_size > most:
            raise DamagedInputError(f"a file of more than {most >> 20} MB")
        yield file

    def check(self) -> None:
        """Raise UsageError where the folder above it is not there."""
        check_parent(Path(self.where).absolute())

    def put(self, path: str, data: bytes) -> None:
        """Write a file of mode 0600 that appears whole or not at all."""
        file = Path(self.where, path)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with written_whole(file, force=True) as out:
            out.write(data)


def _walk(root: str, below: str, deep: int) -> Iterator[Stored]:
    with os.scandir(Path(root, below)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            if deep:
                yield from _walk(root, path, deep - 1)
        elif entry.is_file(follow_symlinks=False):
            about = entry.stat(follow_symlinks=False)
            yield Stored(path=path, size=about.st_size, changed_ns=about.st_mtime_ns)


@contextmanager
def scratch() -> Iterator[Path]:
    """Return a folder for copies, removed in the end."""
    with tempfile.TemporaryDirectory(prefix="umtrace-fleet-") as folder:
        yield Path(folder)
