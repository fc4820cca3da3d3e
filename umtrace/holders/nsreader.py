"""A program that reads the mount tables of namespaces that no process shows.

It enters each namespace with setns(2) and reads its own mountinfo there. It is a process of its own
because setns changes its root directory, and because it must be possible to kill it. It imports
only the standard library, and is run by its path.

stdin is a JSON object:

- ``files``: paths of namespace files
- ``follow``: whether to read also the namespaces of the namespace files mounted in those
- ``known``: inode numbers of namespaces to leave out
- ``wanted``: inode numbers of namespaces to find in the list of the kernel

stdout has for each namespace a line of JSON, and then ``size`` bytes of mountinfo.
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
    """Yield a descriptor of every other mount namespace; it is closed when the next is yielded.

    OSError if that is not possible: EPERM without CAP_SYS_ADMIN in the first pid namespace,
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
        self._found: list[int] = []  # descriptors of namespaces found in a table

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
        """Read the namespace of a namespace file; another file is left out."""
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
        """Open the namespace files among the mounts just read, inside their namespace."""
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
    """Read the request from stdin, write tables to stdout."""
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
