"""A file that appears whole or not at all, whoever else writes in its directory.

What is written has no name, or one that nobody can guess, before it is whole: a symlink that
waits under the name, or a file of the user's, is never written through.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from umtrace.model.errors import UsageError

_MODE = 0o600  # as a recording: paths and command lines are private
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.EPERM)
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raise UsageError, before any work, where ``written_whole`` would."""
    if _descriptor(path) is None and not _is_stream(path):
        _check(path, force=force)


@contextmanager
def written_whole(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Write a file of mode 0600 that appears whole or, on any failure, not at all.

    What cannot be replaced, a FIFO, /dev/null, /dev/stdout, is written to.

    Raises
    ------
    UsageError
        It is there already and ``force`` is not given; or it is a directory, or a disk.
    OSError
        The file cannot be written; what was there is as it was.
    """
    number = _descriptor(path)
    if number is not None:
        with open(os.dup(number), "wb") as stream:  # noqa: PTH123 - a descriptor
            yield stream
    elif _is_stream(path):
        with open(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb") as stream:  # noqa: PTH123
            yield stream
    else:
        _check(path, force=force)
        with _naming(path), _Parent(path) as parent:
            yield from parent.write(path, force=force)


def _descriptor(path: Path) -> int | None:
    match = _DESCRIPTOR.fullmatch(str(path))
    return int(match[1]) if match else _STREAMS.get(str(path))


def _is_stream(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISBLK(mode):
        raise UsageError(f"{path}: is a block device; name a file")
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _check(path: Path, *, force: bool) -> None:
    check_parent(path)
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; name a file")
    if os.path.lexists(path) and not force:  # a symlink to nowhere as well
        raise _exists(path)


def check_parent(path: Path) -> None:
    """Raise UsageError where the directory that is to have this file or folder is not there."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory; create it first")


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path}: exists already; use --force to replace it")


class _Parent:
    """The directory of a file, opened once: whatever its name becomes meanwhile."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> _Parent:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def write(self, path: Path, *, force: bool) -> Iterator[BinaryIO]:
        """Yield the file to write, and give it its name afterwards."""
        fd, name = self._new()
        try:
            with _unwinding() if name else nullcontext(), open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
                yield file
                file.flush()
                os.fsync(fd)
                if name is None and force:
                    name = _unguessable()
                    self._link(fd, name)
                self._publish(fd, name, path, force=force)
        except BaseException:
            if name is not None:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._fd)
            raise

    def _new(self) -> tuple[int, str | None]:
        """Return a file without a name, which goes with this process; else one with a name.

        Without /proc a nameless file could not be given a name.
        """
        nameless = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
        try:
            fd = os.open(f"/proc/self/fd/{self._fd}", nameless, _MODE)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
        else:
            return fd, None
        name = _unguessable()
        return os.open(name, _NEW, _MODE, dir_fd=self._fd), name

    def _link(self, fd: int, name: str) -> None:
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self._fd, follow_symlinks=True)

    def _publish(self, fd: int, name: str | None, path: Path, *, force: bool) -> None:
        try:
            if name is None:
                self._link(fd, path.name)
            elif force or not self._linked(name, path.name):
                os.rename(name, path.name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileExistsError:  # somebody else was faster
            raise _exists(path) from None

    def _linked(self, name: str, final: str) -> bool:
        """Give it the final name unless that is taken; False where there are no hard links."""
        try:
            os.link(name, final, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileExistsError:
            raise
        except OSError:
            return False
        os.unlink(name, dir_fd=self._fd)
        return True


@contextmanager
def _unwinding() -> Iterator[None]:
    """Make a signal that would kill an exception, so that what has a name is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
    before = {number: how for number, how in before.items() if how == signal.SIG_DFL}
    for number in before:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _unguessable() -> str:
    return f".umtrace-{secrets.token_hex(8)}.partial"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Give an error about the unnamed or unguessable file the name that the user knows."""
    try:
        yield
    except OSError as error:
        name = error.filename
        if name is not None and not str(name).startswith((".umtrace-", "/proc/self/fd/")):
            raise
        code = error.errno or errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error
