"""Reads the mount tables of namespaces that no process shows; a program of its own.

It enters each with setns(2) and reads its own mountinfo there, so it must not be the process that
asks: its root directory goes with it, and whatever does not answer must be possible to kill.
It imports the standard library alone, and runs by its path.

stdin: a JSON object. ``files`` are paths of namespace files, ``follow`` says whether to read what
the namespace files mounted in those lead to as well, ``known`` are inode numbers to leave out, and
``wanted`` are those to find by going through all namespaces. stdout: for each namespace a line of
JSON and as many bytes of mountinfo as its ``size`` says.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

OWN: Final = "/proc/self/ns/mnt"
_CLONE_NEWNS: Final = 0x00020000
_NS_GET_USERNS: Final = 0xB701
#: a1d220d9dafa8d76 ("nsfs: iterate through mount namespaces"), Linux 6.12; _IOR(0xb7, 11 and 12,
#: struct mnt_ns_info)
_STEPS: Final = (0x8010B70B, 0x8010B70C)
_INFO: Final = 16
_MOST_BYTES: Final = 1 << 28
_MOST_FILES: Final = 4096
_libc = ctypes.CDLL(None, use_errno=True)


def namespaces() -> Iterator[int]:
    """Yield a descriptor of every mount namespace but our own, closed after its turn.

    OSError where that is not possible: EPERM without CAP_SYS_ADMIN in the first pid namespace,
    ENOTTY or EINVAL before Linux 6.12.
    """
    for step in _STEPS:
        at = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while (following := _following(at, step)) is not None:
                os.close(at)
                at = following
                yield at
        finally:
            os.close(at)


def owner(namespace: int) -> int | None:
    """Return the inode number of the user namespace that owns it."""
    try:
        user = fcntl.ioctl(namespace, _NS_GET_USERNS)
    except OSError:
        return None
    try:
        return os.fstat(user).st_ino
    finally:
        os.close(user)


def _following(at: int, step: int) -> int | None:
    try:
        return int(fcntl.ioctl(at, step, bytearray(_INFO)))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


class _Reader:
    def __init__(self, known: list[int], *, follow: bool) -> None:
        self._known = set(known)
        self._follow = follow
        self._proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
        self._left = _MOST_BYTES
        self._found: list[int] = []  # namespaces that a file of a read one leads to

    def read(self, namespace: int) -> None:
        """Write the table of a namespace, unless it is known."""
        inode = os.fstat(namespace).st_ino
        if inode in self._known:
            return
        self._known.add(inode)
        about: dict[str, Any] = {"inode": inode, "owner": owner(namespace), "size": 0}
        text = b""
        try:
            text = self._table(namespace)
        except OSError as error:
            about["errno"] = error.errno
        if len(text) > self._left:
            text, about["errno"] = b"", errno.EFBIG
        self._left -= len(text)
        about["size"] = len(text)
        sys.stdout.buffer.write(json.dumps(about).encode() + b"\n" + text)
        sys.stdout.buffer.flush()
        if self._follow:
            self._files_in(text)

    def open(self, path: str) -> None:
        """Read the namespace that a file is of; what is none is left out."""
        try:
            number = os.open(os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return
        try:
            self.read(number)
        finally:
            os.close(number)
        while self._found:
            following = self._found.pop()
            try:
                self.read(following)
            finally:
                os.close(following)

    def _table(self, namespace: int) -> bytes:
        if _libc.setns(namespace, _CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        number = os.open("self/mountinfo", os.O_RDONLY, dir_fd=self._proc)
        with os.fdopen(number, "rb") as table:
            return table.read()

    def _files_in(self, text: bytes) -> None:
        """Open the namespace files among the mounts just read, while their paths lead there."""
        for line in text.split(b"\n"):
            fields = line.split(b" ")
            if len(fields) < 5 or not fields[3].startswith(b"mnt:["):  # noqa: PLR2004
                continue
            inode = fields[3][5:-1]
            if not inode.isdigit() or int(inode) in self._known or len(self._found) > _MOST_FILES:
                continue
            try:
                number = os.open(_unescaped(fields[4]), os.O_RDONLY | os.O_NONBLOCK)
            except OSError:
                continue
            if os.fstat(number).st_ino == int(inode):
                self._found.append(number)
            else:
                os.close(number)


def _unescaped(text: bytes) -> bytes:
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        text = text.replace(code, bytes([int(code[1:], 8)]))
    return text


def main() -> None:
    """Read what is asked on stdin, write tables to stdout."""
    asked = json.load(sys.stdin)
    reader = _Reader(asked["known"], follow=asked["follow"])
    wanted = set(asked["wanted"])
    for namespace in namespaces() if wanted else ():
        if os.fstat(namespace).st_ino in wanted:
            reader.read(namespace)
    for path in asked["files"]:
        reader.open(path)


if __name__ == "__main__":
    main()
