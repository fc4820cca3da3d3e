"""Unix sockets that are bound to a path: each keeps the mount of its file busy.

No process has that file open, so /proc/PID/fd shows a socket without a path. unix_diag reports the
superblock of the file. Without that module only /proc/PID/net/unix is left, which has the name as
it was given to bind(2).
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from umtrace.holders import procfs
from umtrace.model.devices import device_name, device_number

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE, _ERROR = 3, 2
_ALL_STATES: Final = 0xFFFFFFFF
_SHOW: Final = 1 | 2  # UDIAG_SHOW_NAME | UDIAG_SHOW_VFS
_NAME, _VFS = 0, 1
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBHIIIII")
_SOCKET: Final = struct.Struct("=BBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_FILE: Final = struct.Struct("=II")  # inode, device
_SOCKET_SIZE: Final = 16
_BUFFER: Final = 1 << 17
_CLONE_NEWNET: Final = 0x40000000
_NAME_FIELD: Final = 7
_INODE_FIELD: Final = 6

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Bound:
    """The name given to bind(2), and ``major:minor`` of the superblock (None if not known)."""

    path: str
    dev: str | None


def bound_sockets(pids: Iterable[int], devs: Iterable[str]) -> dict[int, Bound]:
    """Return the bound sockets of the network namespaces of some processes, by inode.

    With ``devs``, sockets that are known to be on other superblocks are left out. Another thread
    enters each other network namespace for a moment.
    """
    wanted = frozenset(devs)
    found: dict[int, Bound] = {}
    spaces = {procfs.namespace(pid, "net"): pid for pid in pids}
    spaces.pop(None, None)
    if spaces.pop(procfs.namespace("self", "net"), None) is not None:
        found.update(_of_here("self", wanted))
    if spaces:
        elsewhere = threading.Thread(target=_of_others, args=([*spaces.values()], wanted, found))
        elsewhere.start()
        elsewhere.join()
    return found


def _of_others(pids: list[int], devs: frozenset[str], found: dict[int, Bound]) -> None:
    for pid in pids:
        with suppress(OSError):
            if _enter(pid):
                found.update(_of_here(pid, devs))
            else:
                found.update(_from_proc(pid))


def _enter(pid: int) -> bool:
    """Move this thread into a process's network namespace."""
    space = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return bool(_libc.setns(space, _CLONE_NEWNET) == 0)
    finally:
        os.close(space)


def _of_here(pid: int | str, devs: frozenset[str]) -> dict[int, Bound]:
    try:
        return dict(_from_diag(devs))
    except OSError:  # no unix_diag in this kernel
        return dict(_from_proc(pid))


def _from_diag(devs: frozenset[str]) -> Iterator[tuple[int, Bound]]:
    needles = [_packed(dev) for dev in devs]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as link:
        wanted = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ALL_STATES, 0, _SHOW, 0, 0)
        size = _HEADER.size + len(wanted)
        link.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + wanted)
        while True:
            data = link.recv(_BUFFER)
            kind = _HEADER.unpack_from(data)[1]
            if kind == _ERROR:
                number = -struct.unpack_from("=i", data, _HEADER.size)[0]
                raise OSError(number, os.strerror(number))
            # Nearly no socket is on the mount in question: search before parsing them all.
            if not devs or any(needle in data for needle in needles):
                yield from _sockets(data, devs)
            if _ends(data):
                return


def _ends(data: bytes) -> bool:
    at = 0
    while at < len(data):
        size, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _DONE:
            return True
        at += _aligned(size)
    return False


def _sockets(data: bytes, devs: frozenset[str]) -> Iterator[tuple[int, Bound]]:
    at = 0
    while at < len(data):
        size, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _SOCK_DIAG_BY_FAMILY:
            start = at + _HEADER.size
            inode = _SOCKET.unpack_from(data, start)[4]
            values = dict(_attributes(data, start + _SOCKET_SIZE, at + size))
            if _VFS in values:
                bound = Bound(_text(values.get(_NAME, b"")), _dev(values[_VFS]))
                if not devs or bound.dev in devs:
                    yield inode, bound
        at += _aligned(size)


def _attributes(data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    while at + _ATTRIBUTE.size <= end:
        size, name = _ATTRIBUTE.unpack_from(data, at)
        yield name, data[at + _ATTRIBUTE.size : at + size]
        at += max(_aligned(size), _ATTRIBUTE.size)


def _from_proc(pid: int | str) -> Iterator[tuple[int, Bound]]:
    with open(f"/proc/{pid}/net/unix", "rb") as file:  # noqa: PTH123
        for line in file.read().split(b"\n")[1:]:
            fields = line.split(None, _NAME_FIELD)
            if len(fields) > _NAME_FIELD and not fields[_NAME_FIELD].startswith(b"@"):
                yield int(fields[_INODE_FIELD]), Bound(_text(fields[_NAME_FIELD]), None)


def _text(name: bytes) -> str:
    return os.fsdecode(name.split(b"\0", 1)[0])


def _dev(value: bytes) -> str:
    return device_name(_FILE.unpack(value)[1])


def _packed(dev: str) -> bytes:
    return struct.pack("=I", device_number(dev))


def _aligned(size: int) -> int:
    return (size + 3) & ~3
