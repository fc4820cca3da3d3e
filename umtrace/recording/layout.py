"""Names, modes, locks and renames: where things lie in a recording's directory.

Files are created 0600 and the directory 0700: paths and command lines are private.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from umtrace.model.errors import DamagedInputError
from umtrace.recording.files import NoRegularFileError, open_regular
from umtrace.recording.place import PlaceLostError

META = "meta.json"
LOCK = ".lock"

_CHUNK = re.compile(r"([a-z]+)-(\d{5,})\.(parquet|arrows)")
_OURS = re.compile(
    r"meta\.json(\.tmp)?|\.lock"
    r"|[a-z]+-\d{5,}\.(parquet|arrows)(\.tmp|(\.\d+)?\.damaged(\.tmp)?)?"
)
_SWAP = re.compile(r"([a-z]+)-from-(\d{5,})(\.tmp)?")
_LOCK_TRIES = 10
_LOCK_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of a table on disk; Parquet wins where both files exist."""

    index: int
    parquet: Path | None = None
    stream: Path | None = None

    @property
    def name(self) -> str:
        """Return the file name of the better half."""
        path = self.parquet or self.stream
        return path.name if path else str(self.index)


def parquet_path(directory: Path, kind: str, index: int) -> Path:
    """Return the place of a finished chunk."""
    return directory / f"{kind}-{index:05d}.parquet"


def stream_path(directory: Path, kind: str, index: int) -> Path:
    """Return the place of the open chunk."""
    return directory / f"{kind}-{index:05d}.arrows"


def swap_path(directory: Path, kind: str, index: int) -> Path:
    """Return the directory of a rebuilt table: it replaces all chunks below ``index``."""
    return directory / f"{kind}-from-{index:05d}"


def find_swaps(directory: Path, kind: str, *, unfinished: bool = False) -> list[tuple[int, Path]]:
    """Return the rebuilt tables that wait to be moved in, or the half-written ones."""
    found = []
    for entry in _entries(directory):
        match = _SWAP.fullmatch(entry.name)
        if match and match[1] == kind and bool(match[3]) == unfinished and _is_directory(entry):
            found.append((int(match[2]), directory / entry.name))
    return sorted(found)


def find_chunks(directory: Path, kind: str) -> list[Chunk]:
    """Return the chunks of a table in order, rebuilt ones in place of what they replace."""
    chunks = _chunks_in(directory, kind)
    for first, path in find_swaps(directory, kind)[-1:]:
        chunks = {index: chunk for index, chunk in chunks.items() if index >= first}
        chunks.update(_chunks_in(path, kind))
    return [chunks[index] for index in sorted(chunks)]


def _chunks_in(directory: Path, kind: str) -> dict[int, Chunk]:
    files: dict[int, dict[str, Path]] = {}
    for entry in _entries(directory):
        match = _CHUNK.fullmatch(entry.name)
        # Not whether it is a file: who opens a FIFO or a link there says what it is.
        if match and match[1] == kind and not _is_directory(entry):
            files.setdefault(int(match[2]), {})[match[3]] = directory / entry.name
    return {
        index: Chunk(index, both.get("parquet"), both.get("arrows"))
        for index, both in files.items()
    }


def remove_chunks_below(directory: Path, kind: str, first: int) -> None:
    """Delete the chunks that a rebuilt table replaced."""
    for index, chunk in _chunks_in(directory, kind).items():
        for path in (chunk.parquet, chunk.stream):
            if index < first and path is not None:
                path.unlink()


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return list(entries)


def own_files(directory: Path) -> list[Path]:
    """Return what an older recording left here, ``meta.json`` first, swaps included."""
    ours = [directory / e.name for e in _entries(directory) if _is_ours(e)]
    return sorted(ours, key=lambda path: (path.name != META, path.name))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    if _is_directory(entry):
        return bool(_SWAP.fullmatch(entry.name))
    return bool(_OURS.fullmatch(entry.name))


def leftovers(directory: Path) -> list[Path]:
    """Return temporary files of a writer or a repair that did not live to rename them."""
    return [
        path for path in own_files(directory) if path.name.endswith(".tmp") and not path.is_dir()
    ]


def create_private(path: Path, *, replace: bool = False) -> int:
    """Create a 0600 file and return its descriptor; never opens what is there already."""
    if replace:  # it may be a link to another file, or a FIFO
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte or raise OSError."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


def replace_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file in one step, as `replacing` does."""
    with replacing(path, durable=durable) as file:
        write_all(file.fileno(), data)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a file that takes the name in one step: readers see the old or the new one.

    Whatever fails leaves nothing behind. ``durable``: it lasts through a power cut.
    """
    temporary = path.with_name(path.name + ".tmp")
    fd = create_private(temporary, replace=True)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor: its name may be another's by now
            yield file
            file.flush()
            if durable:
                os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames in a directory last through a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def acquire_lock(directory: Path) -> int | None:
    """Take the recording for writing; None when another writer lives.

    Raises NoRegularFileError where the lock is something else.
    """
    fd = open_regular(directory / LOCK, os.O_RDWR | os.O_CREAT)
    for _ in range(_LOCK_TRIES):
        if _flock(fd, fcntl.LOCK_EX):
            return fd
        time.sleep(_LOCK_PAUSE_S)  # a reader may be looking, see is_locked
    os.close(fd)
    return None


def is_locked(directory: Path) -> bool:
    """Whether a writer lives; False when that cannot be known."""
    try:
        fd = open_regular(directory / LOCK)
    except OSError:
        return False
    try:
        return not _flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def naming(directory: Path) -> Iterator[None]:
    """Give an OSError from deep inside the directory's name and a clean errno.

    Raises DamagedInputError where something else is in the place of a file.
    """
    try:
        yield
    except PlaceLostError:
        raise
    except NoRegularFileError as error:
        name = Path(error.filename).name
        raise DamagedInputError(f"{directory}: {name} is no regular file; remove it") from None
    except OSError as error:
        code = error.errno or 5
        raise OSError(code, os.strerror(code), str(directory)) from error
