"""The path that is meant, asking no file system that the question is about.

The mount that ``why`` is asked about may be one whose server is dead, hangs, or lets nobody but
its user in (FUSE, NFS): stat(2) of its mount point fails or never returns, while umount works.
Links are therefore followed one by one, and a mount point is known by the mount table alone.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from umtrace.holders.mounts import MountTable
from umtrace.records.errors import UsageError

T = TypeVar("T")

_PATIENCE_S = 2.0
_MOST_LINKS = 40  # MAXSYMLINKS
#: said by who was asked, of the path; everything else says that nobody could be asked
_ANSWERS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
#: a bind mount of a device node may be meant as the device, and these have no server
_WITH_NODES = frozenset({"devtmpfs", "tmpfs"})


@dataclass(frozen=True, slots=True)
class Found:
    """A path whose links were followed, and the device if it is a block device.

    ``unasked`` says who did not answer: from there on the path is as it was given.
    """

    path: str
    dev: str | None = None
    unasked: str = ""


def look_up(path: str, table: MountTable) -> Found:
    """Return where a path leads; OSError, with the path as given, when it leads nowhere."""
    try:
        return _look_up(path, table)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), path) from error


def _look_up(path: str, table: MountTable) -> Found:
    found, left, links = "/", _names(_absolute(path)), 0
    while left:
        name = left.pop()
        step = posixpath.normpath(posixpath.join(found, name))
        if name == ".." or table.at(step) is not None:
            found = step
            continue
        try:
            target = _link(step)
        except OSError as error:
            return Found(posixpath.join(step, *reversed(left)), unasked=_silence(step, error))
        links += target is not None
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, "")
        if target is None:
            found = step
        else:
            found = "/" if target.startswith("/") else found
            left += _names(target)
    return _device(found, table)


def _absolute(path: str) -> str:
    if not path:
        raise UsageError("PATH is empty; name a mount point, a path in a mount, or a block device")
    if path.startswith("/"):
        return path
    try:
        return posixpath.join(str(Path.cwd()), path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: the working directory was removed; change to another") from error


def _device(path: str, table: MountTable) -> Found:
    mount = table.at(path)
    if mount is not None and mount.fstype not in _WITH_NODES:
        return Found(path)
    try:
        status = _patiently(os.lstat, path)
    except OSError as error:
        return Found(path, unasked=_silence(path, error))
    if not stat.S_ISBLK(status.st_mode):
        return Found(path)
    return Found(path, f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]


def _link(path: str) -> str | None:
    try:
        return _patiently(os.readlink, path)
    except OSError as error:
        if error.errno == errno.EINVAL:  # no link
            return None
        raise


def _silence(path: str, error: OSError) -> str:
    """Return who does not answer; raise what is an answer."""
    refused = error.errno == errno.EACCES and os.geteuid() != 0
    if error.errno in _ANSWERS or refused:
        raise error
    return f"what {path} is ({error.strerror}): taken as no link and no device"


def _patiently(call: Callable[[str], T], path: str) -> T:
    """Call in a thread that is left behind if it does not return; it ends with the process."""
    answers: SimpleQueue[T | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(call(path))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_PATIENCE_S)
    except Empty:
        raise OSError(errno.ETIMEDOUT, f"no answer in {_PATIENCE_S:g} s", path) from None
    if isinstance(answer, OSError):
        raise answer
    return answer
