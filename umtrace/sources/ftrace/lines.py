"""Reads the lines of a trace one by one, from a file, a pipe or a trace-cmd file."""

from __future__ import annotations

import os
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from umtrace.model.errors import DamagedInputError, UsageError

LONGEST = 1 << 16  # bytes of a line; the kernel prints a page at most
_BLOCK = 1 << 20
_NOBODY_S = 10.0
_POLL_MS = 100
_STDIN = "-"


def open_trace(path: Path) -> IO[bytes]:
    """Return the content of a trace from its beginning, as text; may be read several times.

    A pipe is first copied to a temporary file.

    Raises
    ------
    UsageError
        It cannot be opened, is no file and no pipe, or trace-cmd is needed and missing.
    DamagedInputError
        trace-cmd cannot read it.
    """
    try:
        file = _opened(path)
    except OSError as error:
        why = str(error.strerror)
        raise UsageError(f"{path}: {why[:1].lower()}{why[1:]}") from None
    binary = b"tracing" in file.read(16)
    file.seek(0)
    if not binary:
        return file
    with file:
        return _reported(path, file)


def lines_of(file: IO[bytes]) -> Iterator[str]:
    """Yield the lines from the beginning, each without its newline; one that is too long is cut."""
    file.seek(0)
    while line := file.readline(LONGEST):
        if not line.endswith(b"\n"):
            while (rest := file.readline(_BLOCK)) and not rest.endswith(b"\n"):
                pass
        yield line.decode(errors="replace").rstrip("\n")


def _opened(path: Path) -> IO[bytes]:
    if str(path) == _STDIN:
        return _seekable(path, os.dup(sys.stdin.fileno()))
    # Without O_NONBLOCK, open() would wait for a writer of a FIFO.
    return _seekable(path, os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))


def _seekable(path: Path, fd: int) -> IO[bytes]:
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(fd, "rb")
    try:
        if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
            raise UsageError(f"{path}: is neither a file nor a pipe")
        return _copied(path, fd)
    finally:
        os.close(fd)


def _copied(path: Path, fd: int) -> IO[bytes]:
    copy = tempfile.TemporaryFile(prefix="umtrace-import-")  # noqa: SIM115 - the caller's
    try:
        _copy(path, fd, copy)
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _copy(path: Path, fd: int, copy: IO[bytes]) -> None:
    give_up = time.monotonic() + _NOBODY_S
    empty = True
    while True:
        select.select([fd], [], [], _POLL_MS / 1000)
        try:
            block = os.read(fd, _BLOCK)
        except BlockingIOError:
            give_up = float("inf")  # a process has it open for writing
            continue
        if block:
            copy.write(block)
            empty = False
        elif not empty or give_up == float("inf"):
            break
        elif time.monotonic() > give_up:
            raise UsageError(f"{path}: no process writes to this pipe")
        else:
            time.sleep(_POLL_MS / 1000)


def _reported(path: Path, file: IO[bytes]) -> IO[bytes]:
    """Return the text that ``trace-cmd report`` makes of a trace-cmd file."""
    if not shutil.which("trace-cmd"):
        raise UsageError(f"{path} is a trace-cmd file: apt-get install trace-cmd, which reads it")
    text = tempfile.TemporaryFile(prefix="umtrace-import-")  # noqa: SIM115 - the caller's
    done = subprocess.run(
        ["trace-cmd", "report", "-t", "-i", f"/proc/self/fd/{file.fileno()}"],
        stdin=subprocess.DEVNULL,
        stdout=text,
        stderr=subprocess.PIPE,
        pass_fds=[file.fileno()],
        check=False,
    )
    if done.returncode:
        text.close()
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        why = (errors or ["no reason given"])[-1]
        raise DamagedInputError(f"{path}: trace-cmd cannot read it: {why}")
    return text
