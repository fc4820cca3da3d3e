"""The files of uprobes that tracefs does not list: those of perf events and of BPF links."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import suppress

from umtrace.kernel.syscalls import BPF_SYSCALL, syscall

_OBJ_GET, _OBJ_GET_INFO_BY_FD, _TASK_FD_QUERY, _LINK_GET_FD_BY_ID, _LINK_GET_NEXT_ID = (
    7,
    15,
    20,
    30,
    31,
)
_UPROBE_KINDS = {4, 5}  # BPF_FD_TYPE_UPROBE, _URETPROBE
_LINK_PERF_EVENT, _LINK_UPROBE_MULTI = 7, 12
_PERF_KINDS = {1, 2}  # BPF_PERF_EVENT_UPROBE, _URETPROBE
#: the name of a link's descriptor, in the process that made the link and in one that opened it
LINK_PATHS = frozenset({"anon_inode:bpf_link", "anon_inode:bpf-link"})
_ATTR_BYTES = 48
_PATH_BYTES = 4096
_INFO_BYTES = 128
_INFO_HEAD = struct.Struct("=III4x")  # type, id, program
_UPROBE_MULTI = struct.Struct("=QQQQI")
_PERF_NAME = struct.Struct("=QI")


def probed_file(pid: int, fd: int) -> str | None:
    """Return the file that a task's perf event probes, None if it probes none.

    OSError if it is unknown: the event has no program (ENOENT), or this user may not ask.
    """
    path = ctypes.create_string_buffer(_PATH_BYTES)
    request = struct.pack("=IIIIQ", pid, fd, 0, _PATH_BYTES, ctypes.addressof(path))
    answer = _bpf(_TASK_FD_QUERY, request)
    (kind,) = struct.unpack_from("=I", answer, 28)
    return os.fsdecode(path.value) if kind in _UPROBE_KINDS else None


def linked_files() -> Iterator[tuple[int, str]]:
    """Yield (link, file) of the uprobes of BPF links.

    The kernel names the file of an uprobe_multi since 6.8, of a perf event since 6.6.
    OSError where links cannot be listed; nothing before Linux 5.8, which has no such list.
    """
    number: int | None = 0
    while (number := _next_link(number)) is not None:
        with suppress(FileNotFoundError):  # gone meanwhile
            link = _bpf_fd(_LINK_GET_FD_BY_ID, struct.pack("=I", number))
            try:
                path = _link_file(link)
            finally:
                os.close(link)
            if path is not None:
                yield number, path


def pinned_links(folder: str) -> Iterator[tuple[int, str]]:
    """Yield (link, file) of the links that are pinned below a folder of a bpf file system."""
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)  # noqa: PTH118
            with suppress(OSError):
                text = ctypes.create_string_buffer(os.fsencode(path))
                pinned = _bpf_fd(_OBJ_GET, struct.pack("=QII", ctypes.addressof(text), 0, 0))
                try:
                    if os.readlink(f"/proc/self/fd/{pinned}") in LINK_PATHS:  # noqa: PTH115
                        (_, number, _), _ = _link_info(pinned, b"")
                        yield number, path
                finally:
                    os.close(pinned)


def _next_link(number: int | None) -> int | None:
    try:
        answer = _bpf(_LINK_GET_NEXT_ID, struct.pack("=II", number, 0))
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINVAL}:
            return None
        raise
    return int(struct.unpack_from("=I", answer, 4)[0])


def _link_file(link: int) -> str | None:
    (kind, *_), info = _link_info(link, b"")
    path = ctypes.create_string_buffer(_PATH_BYTES)
    where = ctypes.addressof(path)
    if kind == _LINK_UPROBE_MULTI:
        _link_info(link, _UPROBE_MULTI.pack(where, 0, 0, 0, _PATH_BYTES))
    elif kind == _LINK_PERF_EVENT and info[_INFO_HEAD.size] in _PERF_KINDS:
        _link_info(link, struct.pack("=II", 0, 0) + _PERF_NAME.pack(where, _PATH_BYTES))
    else:
        return None
    return os.fsdecode(path.value)


def _link_info(link: int, wanted: bytes) -> tuple[tuple[int, ...], bytes]:
    info = ctypes.create_string_buffer(bytes(_INFO_HEAD.size) + wanted, _INFO_BYTES)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", link, _INFO_BYTES, ctypes.addressof(info)))
    return _INFO_HEAD.unpack_from(info.raw), info.raw


def _bpf(command: int, attr: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(attr, _ATTR_BYTES)
    size = _ATTR_BYTES if command == _TASK_FD_QUERY else 16
    number = BPF_SYSCALL[platform.machine()]
    syscall(number, command, ctypes.cast(buffer, ctypes.c_void_p), size)
    return buffer.raw


def _bpf_fd(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr, _ATTR_BYTES)
    number = BPF_SYSCALL[platform.machine()]
    return syscall(number, command, ctypes.cast(buffer, ctypes.c_void_p), 16)
