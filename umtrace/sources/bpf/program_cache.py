"""The cache: results of the compiler in a folder, so that the next start needs no compiler.

What is there is loaded into the kernel. So the folder and its files must belong to the user and be
closed to others, and a file must be complete and match its key. Otherwise it is not used, and
``remark`` says why in one line.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from umtrace.probes.constants import possible_cpus
from umtrace.sources.bpf.text import bpf_directory
from umtrace.version import __version__

VARIABLE = "UMTRACE_CACHE"
AT_MOST = 32  # a tier with a probe set takes one, of 50 to 200 KB, for each kernel; tables another
_OF_ROOT = Path("/var/cache/umtrace")
_MAGIC = "umtrace compiled 1"
_COMPILED, TABLES = ".compiled", ".tables"
#: other files in a folder that the user chose are not touched
_OURS = re.compile(r"\.?[0-9a-f]{32}-[0-9a-f]{32}(\.compiled|\.tables|\.\d+)")
#: Part of the key. 0.1.0 used headers from the working directory, too, so what it cached must not
#: be used.
_INCLUDED = "own headers only"
_NOTES = Path("/sys/kernel/notes")  # with the build id


class _UselessError(Exception):
    """Why a file, or the folder, cannot be used."""


class ProgramCache:
    """The folder of the cache; on a problem it does nothing, and ``remark`` has the reason.

    Parameters
    ----------
    folder : Path or None
        None caches nothing.
    suffix : str
        What is cached: compiled programs, or the TABLES of the kernel.
    """

    def __init__(self, folder: Path | None, suffix: str = _COMPILED) -> None:
        self.folder = folder
        self._suffix = suffix
        self.remark = ""

    @classmethod
    def of_this_user(cls) -> ProgramCache:
        """Return the cache that ``UMTRACE_CACHE`` names, 0 for none; else the user's, if any."""
        chosen = os.environ.get(VARIABLE)
        if chosen:
            return cls(None if chosen == "0" else Path(chosen).absolute())
        if os.geteuid() == 0:  # and not HOME, which sudo may leave as that of another user
            return cls(_OF_ROOT)
        caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
        folder = Path(caches, "umtrace")
        usable = folder.is_absolute() and not _is_of_another(folder.parent)
        return cls(folder if usable else None)  # some users have no home, or sudo left another's

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what is cached under a key; None if there is nothing, or it must not be used."""
        try:
            with self._opened() as folder:
                answer = _answer(folder, key, self._suffix)
        except FileNotFoundError:
            return None
        except (_UselessError, OSError) as error:
            self._note("not used", error)
            return None
        return answer if _same_makers(answer) else None

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Cache an answer; if there are too many, drop those that were not used for longest."""
        try:
            if self.folder:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._opened() as folder:
                _write(folder, key, self._suffix, answer)
                _drop(folder, [name for name, _size in _listed(folder)[AT_MOST:]])
        except FileNotFoundError:
            return
        except (_UselessError, OSError) as error:
            self._note("not kept", error)

    def names(self) -> list[str]:
        """Return the files that are there, the last used first; empty where none can be used."""
        return [name for name, _size in self._listed()]

    def size(self) -> int:
        """Return their size in bytes."""
        return sum(size for _name, size in self._listed())

    def _listed(self) -> list[tuple[str, int]]:
        try:
            with self._opened() as folder:
                return _listed(folder)
        except FileNotFoundError:
            return []
        except (_UselessError, OSError) as error:
            self._note("not used", error)
            return []

    def has(self, beginning: str) -> bool:
        """Whether anything is cached with a key that begins like this."""
        return any(name.startswith(beginning) for name in self.names())

    def clear(self) -> int:
        """Remove all that is cached; return the number of files."""
        with suppress(_UselessError, OSError), self._opened() as folder:
            return _drop(folder, [name for name, _size in _listed(folder)])
        return 0

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the folder, so that what is checked is what is used, even if it is renamed."""
        if self.folder is None:
            raise FileNotFoundError
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _check_ours(os.fstat(folder))
            yield folder
        finally:
            os.close(folder)

    def _note(self, what: str, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) else str(error)
        if not self.remark:
            self.remark = (
                f"compiled probes are {what}: {self.folder}: {why} "
                f"({VARIABLE}=DIR chooses another folder, 0 none)"
            )


def _check_ours(found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise _UselessError(f"belongs to user id {found.st_uid}")
    if found.st_mode & 0o077:
        raise _UselessError(f"others may use it (mode {stat.S_IMODE(found.st_mode):o})")


def _is_of_another(folder: Path) -> bool:
    try:
        return folder.stat().st_uid != os.geteuid()
    except PermissionError:
        return True
    except OSError:
        return False


def _answer(folder: int, key: str, suffix: str) -> dict[str, Any]:
    name = key + suffix
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, dir_fd=folder), "rb") as file:  # noqa: PTH123 - a descriptor
        try:
            _check_ours(os.fstat(file.fileno()))
        except _UselessError as error:
            raise _UselessError(f"{name} {error}") from error
        head, _, body = file.read().partition(b"\n")
        if head != _head(key, body):
            raise _UselessError(f"{name} is damaged")
        with suppress(OSError):
            os.utime(file.fileno())  # the time of its last use
    answer: dict[str, Any] = json.loads(body)
    return answer


def _head(key: str, body: bytes) -> bytes:
    return f"{_MAGIC} {hashlib.sha256(key.encode() + body).hexdigest()}".encode()


def _same_makers(answer: dict[str, Any]) -> bool:
    """Whether the files of the compiler are still those that made this answer."""
    return bool(answer["made_by"]) and all(
        file_state(path) == state for path, state in answer["made_by"].items()
    )


def file_state(path: str) -> list[int] | None:
    """Return what distinguishes a file from a newer one at its path; None if there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a string from JSON
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _write(folder: int, key: str, suffix: str, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    new = f".{key}.{os.getpid()}"  # if it is left over, it is dropped like the others
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(new, flags, 0o600, dir_fd=folder), "wb") as file:  # noqa: PTH123
            file.write(_head(key, body) + b"\n" + body)
        os.rename(new, key + suffix, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _drop(folder, [new])
        raise


def _listed(folder: int) -> list[tuple[str, int]]:
    """Return names and sizes, the last used first."""
    used = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _OURS.fullmatch(entry.name):
                continue
            with suppress(OSError):  # another recorder may drop it meanwhile
                found = entry.stat(follow_symlinks=False)
                used.append((found.st_mtime_ns, entry.name, found.st_size))
    return [(name, size) for _when, name, size in sorted(used, reverse=True)]


def _drop(folder: int, names: list[str]) -> int:
    dropped = 0
    for name in names:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
            dropped += 1
    return dropped


def environment_key() -> str:
    """Return a hash of this kernel, this umtrace and its headers.

    The compiler itself is checked when an answer is used. It sees no other variable and no other
    folder than these: `compiler.py`.
    """
    host = os.uname()
    seen = hashlib.sha256()
    for word in (
        _INCLUDED,
        __version__,
        host.release,
        host.version,
        host.machine,
        str(possible_cpus()),
    ):
        seen.update(word.encode() + b"\0")
    seen.update(_NOTES.read_bytes() if _NOTES.exists() else b"")
    for path in sorted(bpf_directory().rglob("*.h")):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:32]


def key_of(around: str, request: str) -> str:
    """Return the key of an answer; it begins with the key of its environment."""
    return f"{around}-{hashlib.sha256(request.encode()).hexdigest()[:32]}"
