"""Resolves a path without a question to the file system that it is about.

The server of a mount (FUSE, NFS) may be dead, hang, or admit only its own user. Then stat(2) of the
mount point fails or never returns, while umount works. Therefore links are followed one by one, and
mount points are found in the mount table.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from umtrace.holders.asker import asker
from umtrace.holders.mount_ids import mount_and_dev
from umtrace.holders.mounts import Mount, MountTable
from umtrace.holders.procfs import undeleted
from umtrace.model.errors import UsageError

_PATIENCE_S = 2.0
_MOST_LINKS = 40  # MAXSYMLINKS
#: answers of a file system about the path; any other error means that there was no answer
_ANSWERS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
#: a mount point of these may be a bind mount of a device node; they need no server
_WITH_NODES = frozenset({"devtmpfs", "tmpfs"})
#: with their subtypes, such as fuse.sshfs
_SERVED = frozenset(
    ("fuse", "fuseblk", "virtiofs", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "lustre")
)


@dataclass(frozen=True, slots=True)
class Found:
    """A path after its links were followed, and the device if it is a block device.

    ``unanswered`` names the part that got no answer; from there on the path is as it was given.
    """

    path: str
    dev: str | None = None
    unanswered: str = ""


def look_up(path: str, table: MountTable, patience_s: float = _PATIENCE_S) -> Found:
    """Return where a path leads; OSError, with the path as given, if it does not exist."""
    try:
        found = follow(_absolute(path), table, patience_s)
        return found if found.unanswered else _device(found.path, table)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), path) from error


def may_never_answer(mount: Mount) -> bool:
    """Whether the files of a mount come from a server, which may not answer."""
    return mount.fstype.partition(".")[0] in _SERVED


def follow(
    path: str,
    table: MountTable,
    patience_s: float = _PATIENCE_S,
    stop: Callable[[Mount], bool] | None = None,
) -> Found:
    """Return where the links of an absolute path lead; OSError if the target does not exist.

    Links inside a mount for which ``stop`` is true are not followed.
    """
    found, left, links = "/", _names(path), 0
    while left:
        name = left.pop()
        step = posixpath.normpath(posixpath.join(found, name))
        if name == ".." or table.at(step) is not None:
            found = step
            continue
        mount = table.holding(step) if stop is not None else None
        if stop is not None and mount is not None and stop(mount):
            return Found(posixpath.join(step, *reversed(left)))
        try:
            target = _link_of_proc(step, table) or _link(step, patience_s)
        except OSError as error:
            return Found(posixpath.join(step, *reversed(left)), unanswered=_silence(step, error))
        links += target is not None
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, "")
        if target is None:
            found = step
        else:
            found = "/" if target.startswith("/") else found
            left += _names(target)
    return Found(found)


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
    # The root of a file system is a directory. A stat of it would clear the mark of MNT_EXPIRE.
    if mount is not None and (mount.root == "/" or mount.fstype not in _WITH_NODES):
        return Found(path)
    try:
        mode, number = asker().ask("kind", os.fsencode(path), patience_s=_PATIENCE_S)
    except OSError as error:
        return Found(path, unanswered=_silence(path, error))
    if not stat.S_ISBLK(mode):
        return Found(path)
    return Found(path, f"{os.major(number)}:{os.minor(number)}")


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]


def _link_of_proc(path: str, table: MountTable) -> str | None:
    """Return where a link of /proc leads; None if the path is no link of /proc.

    UsageError if the target has this name only in another namespace, or is covered: ``root``,
    ``cwd`` and ``fd/N`` may lead to any namespace. This process reads the link itself, because
    /proc/self would be another process in the child.
    """
    mount = table.holding(path)
    if mount is None or mount.fstype != "proc":
        return None
    try:
        target = os.readlink(path)  # noqa: PTH115
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    if not target.startswith("/"):
        return target
    number, _ = mount_and_dev(path)
    named = table.holding(undeleted(target))
    if number is None or (named is not None and named.mnt_id == number):
        return target
    if number in table.mounts:
        raise UsageError(f"{path} leads to a mount that is covered by another one at {target}")
    raise UsageError(
        f"{path} leads to a mount that is not in this mount namespace; "
        "run umtrace why in its own: nsenter -t PID -m"
    )


def _link(path: str, patience_s: float) -> str | None:
    try:
        return os.fsdecode(asker().ask("link", os.fsencode(path), patience_s=patience_s))
    except OSError as error:
        if error.errno == errno.EINVAL:  # no link
            return None
        raise


def _silence(path: str, error: OSError) -> str:
    """Return a phrase for the part that got no answer; raise the error if it is an answer."""
    refused = error.errno == errno.EACCES and os.geteuid() != 0
    if error.errno in _ANSWERS or refused:
        raise error
    said = error.strerror
    if error.errno == errno.ETIMEDOUT and (left := asker().left):
        pids = ", ".join(map(str, sorted(left)))
        said = f"{said}; until the answer comes, pid {pids} of umtrace waits and holds the mount"
    return f"what {path} is ({said}): taken as no link and no device"
