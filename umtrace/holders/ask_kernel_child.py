"""The child process that asks the kernel, run as a file. It may hang; then it is left behind.

It uses few modules of the standard library only, because a file that it loads makes the mount of
that file busy. Its argument is JSON; its output is a line of JSON for each question.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import stat
import sys
import time
from typing import Any

_MNT_EXPIRE = 4
_UMOUNT_NOFOLLOW = 8
_CLONE_NEWNS = 0x00020000
_LOCK_S = 2.0
_LONGEST = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


class RefusedError(Exception):
    """The question is not asked; the message says why."""


def ask_all(order: dict[str, Any]) -> None:
    """Ask the questions of an order under the lock, up to the first answer but EAGAIN (free)."""
    folder = _folder(order["folder"])
    lock = _locked(folder)
    log = os.open(
        "asked", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
    )
    if os.fstat(log).st_size > _LONGEST:
        os.ftruncate(log, 0)
    os.lseek(log, 0, os.SEEK_END)
    own = _mount_of(lock)
    os.close(folder)
    for question in order["questions"]:
        if question["mnt_id"] == own:
            answer: dict[str, Any] = {"refused": "the lock file of umtrace itself is on it"}
        else:
            answer = _answer(question, log)
        _say(answer)
        if answer.get("errno") != errno.EAGAIN:
            return


def _answer(question: dict[str, Any], log: int) -> dict[str, Any]:
    try:
        return _device(question, log) if question["kind"] == "device" else _mount(question, log)
    except RefusedError as refused:
        return {"refused": str(refused)}
    except OSError as error:
        return {"refused": error.strerror or str(error)}


def _mount(question: dict[str, Any], log: int) -> dict[str, Any]:
    if question["ns_file"] is not None:
        _enter(question["ns_file"])
    # From the directory above: a rename on the way then cannot change the mount that is meant.
    above, name = os.path.split(question["path"])
    os.chdir(above)
    path = os.fsencode(name)
    # With a mark of another program this question would unmount the mount.
    if _clear_mark(path) != question["mnt_id"]:
        raise RefusedError("another mount is at that path")
    with _Noted(log, "mount", f"{question['mnt_id']}"):
        status = _libc.umount2(path, _MNT_EXPIRE | _UMOUNT_NOFOLLOW)
        number = ctypes.get_errno() if status else 0
    try:
        cleared = _clear_mark(path) == question["mnt_id"]
    except OSError:
        cleared = False
    return {"errno": number, "cleared": cleared}


def _clear_mark(path: bytes) -> int | None:
    """Open and close the root of a mount, which clears the mark; return the mount id."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _mount_of(fd)
    finally:
        os.close(fd)


def _device(question: dict[str, Any], log: int) -> dict[str, Any]:
    node = os.open(os.fsencode(question["path"]), os.O_PATH | os.O_CLOEXEC)
    status = os.fstat(node)
    dev = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if not stat.S_ISBLK(status.st_mode) or dev != question["dev"]:
        raise RefusedError("another device is at that path")
    with _Noted(log, "device", dev):
        try:
            os.close(os.open(f"/proc/self/fd/{node}", os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as error:
            return {"errno": error.errno}
    return {"errno": errno.EAGAIN}


class _Noted:
    """Logs the task and time of a question, so that a recorder can leave the call out."""

    def __init__(self, log: int, kind: str, what: str) -> None:
        self._log, self._what = log, f"{kind} {what}"

    def __enter__(self) -> None:
        self._write("begin")

    def __exit__(self, *_: object) -> None:
        self._write("end")

    def _write(self, moment: str) -> None:
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        os.write(self._log, f"{moment} {os.getpid()} {now} {self._what}\n".encode())


def _folder(path: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102 - pathlib is slow to import
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise RefusedError(f"{path} belongs to another user, or other users may write there")
    return fd


def _locked(folder: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open("lock", flags, 0o600, dir_fd=folder)
    until = time.monotonic() + _LOCK_S
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        time.sleep(0.01)
    raise RefusedError("another umtrace asks the kernel at this moment")


def _enter(ns_file: str) -> None:
    if not ns_file:
        raise RefusedError("its mount namespace cannot be entered")
    fd = os.open(os.fsencode(ns_file), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, _CLONE_NEWNS) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _mount_of(fd: int) -> int | None:
    with open(f"/proc/self/fdinfo/{fd}") as lines:  # noqa: PTH123 - pathlib is slow to import
        for line in lines:
            name, _, value = line.partition(":")
            if name == "mnt_id":
                return int(value)
    return None


if __name__ == "__main__":
    try:
        ask_all(json.loads(sys.argv[1]))
    except (RefusedError, OSError) as error:
        _say({"refused": getattr(error, "strerror", None) or str(error)})
