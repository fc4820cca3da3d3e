"""The bpf(2) system call: makes maps, loads programs, and reads the kernel's facts about them.

Python has no wrapper for it, and the recorder needs only a few of its commands. So it uses no
library for them, and has no compiler in its memory.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import NamedTuple

from umtrace.kernel.syscalls import BPF_SYSCALL, syscall

_MAP_CREATE, _MAP_LOOKUP_ELEM, _MAP_UPDATE_ELEM, _MAP_DELETE_ELEM, _PROG_LOAD = 0, 1, 2, 3, 5
_MAP_GET_NEXT_KEY = 4
_MOST_ENTRIES = 4096
#: of a map whose memory can be mapped (Linux 5.5, fc9702273e2e)
MMAPABLE = 1 << 10
_OBJ_GET_INFO_BY_FD, _RAW_TRACEPOINT_OPEN, _BTF_LOAD = 15, 17, 18
_LINK_CREATE, _ITER_CREATE = 28, 33
_ATTR_BYTES = 128
_LOG_BYTES = 1 << 20
_INFO_BYTES = 232  # struct bpf_prog_info
# run_time_ns, run_cnt, recursion_misses follow each other; the last came with 5.12,
# 9ed9e9ba2337 ("bpf: Count the number of times recursion was prevented").
_COUNTERS = struct.Struct("=QQQ")
_COUNTERS_AT = 192


class ProgramType(IntEnum):
    """enum bpf_prog_type, as far as it is used."""

    KPROBE = 2
    TRACEPOINT = 5
    RAW_TRACEPOINT = 17
    TRACING = 26


class AttachType(IntEnum):
    """enum bpf_attach_type, as far as it is used."""

    NONE = 0
    FENTRY = 24
    FEXIT = 25
    ITERATOR = 28


class MapInfo(NamedTuple):
    """What makes a map; the order of struct bpf_map_info."""

    type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


class Functions(NamedTuple):
    """BTF of a program with several functions, and an array of struct bpf_func_info."""

    btf: bytes
    places: bytes


class RefusedError(OSError):
    """The kernel refuses a program; ``log`` is the verifier's output, which may be empty."""

    log = ""


def bpf(command: int, attr: bytes) -> int:
    """Make the call; OSError with its errno when it fails."""
    number = BPF_SYSCALL[platform.machine()]
    buffer = ctypes.create_string_buffer(attr.ljust(_ATTR_BYTES, b"\0"), _ATTR_BYTES)
    return syscall(number, command, ctypes.cast(buffer, ctypes.c_void_p), _ATTR_BYTES)


def object_info(fd: int, size: int) -> tuple[ctypes.Array[ctypes.c_char], int]:
    """Return the kernel's description of a map or program, and how many bytes of it are filled."""
    info = ctypes.create_string_buffer(size)
    attr = ctypes.create_string_buffer(struct.pack("=IIQ", fd, size, ctypes.addressof(info)))
    number = BPF_SYSCALL[platform.machine()]
    syscall(number, _OBJ_GET_INFO_BY_FD, ctypes.cast(attr, ctypes.c_void_p), 16)
    (filled,) = struct.unpack_from("=I", attr, 4)
    return info, filled


def map_info(fd: int) -> MapInfo:
    """Return what a map was made from."""
    info, _filled = object_info(fd, 80)
    kind, _id, key, value, entries, flags = struct.unpack_from("=IIIIII", info)
    return MapInfo(kind, key, value, entries, flags)


def create_map(name: str, info: MapInfo) -> int:
    """Make a map; returns its descriptor."""
    return bpf(_MAP_CREATE, struct.pack("=IIIIIII16s", *info, 0, 0, name.encode()[:15]))


def load_program(
    name: str,
    code: bytes,
    kind: ProgramType,
    *,
    attach_type: AttachType = AttachType.NONE,
    attach_btf_id: int = 0,
    functions: Functions | None = None,
) -> int:
    """Load a program; returns its descriptor.

    Raises
    ------
    RefusedError
        With the verifier's log; to get that, the program is loaded a second time.
    """

    def load(log: ctypes.Array[ctypes.c_char] | None) -> int:
        where = ctypes.addressof(log) if log else 0
        head = struct.pack(
            "=IIQQIIQ", kind, len(code) // 8, code_at, license_at, bool(log), _log_size(log), where
        )
        rest = struct.pack("=II16sII", 0, 0, name.encode()[:15], 0, attach_type)
        with _described(functions) as described:
            tail = described + struct.pack("=IQII", 0, 0, 0, attach_btf_id)
            return bpf(_PROG_LOAD, head + rest + tail)

    # The handlers have a dual licence, but the helpers that they call are for GPL programs only.
    program, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    code_at, license_at = ctypes.addressof(program), ctypes.addressof(licence)
    try:
        return load(None)
    except OSError as error:
        refused = RefusedError(error.errno, error.strerror)
    log = ctypes.create_string_buffer(_LOG_BYTES)
    try:
        return load(log)
    except OSError:
        refused.log = log.value.decode(errors="replace")
    raise refused


@contextmanager
def _described(functions: Functions | None) -> Iterator[bytes]:
    """Give prog_btf_fd, func_info_rec_size, func_info and func_info_cnt for one load."""
    if functions is None:
        yield struct.pack("=IIQI", 0, 0, 0, 0)
        return
    btf, places = (ctypes.create_string_buffer(part, len(part)) for part in functions)
    fd = bpf(_BTF_LOAD, struct.pack("=QQIII", ctypes.addressof(btf), 0, len(btf), 0, 0))
    try:
        yield struct.pack("=IIQI", fd, 8, ctypes.addressof(places), len(places) // 8)
    finally:
        os.close(fd)


def _log_size(log: ctypes.Array[ctypes.c_char] | None) -> int:
    return len(log) if log else 0


def open_raw_tracepoint(program_fd: int, name: str | None) -> int:
    """Attach a raw tracepoint program by name, or a tracing program (name None).

    Returns
    -------
    int
        A descriptor; closing it detaches the program.
    """
    text = ctypes.create_string_buffer(name.encode()) if name else None
    where = ctypes.addressof(text) if text else 0
    return bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI", where, program_fd))


def link_iterator(program_fd: int) -> int:
    """Attach a program to its iterator, over all tasks; returns a descriptor, a BPF link."""
    return bpf(_LINK_CREATE, struct.pack("=IIII", program_fd, 0, AttachType.ITERATOR, 0))


def open_iterator(link_fd: int) -> int:
    """Begin a pass; reading from the descriptor that this returns runs the program to its end."""
    return bpf(_ITER_CREATE, struct.pack("=II", link_fd, 0))


def lookup(map_fd: int, index: int, value_bytes: int) -> bytes:
    """Return the value of one element of an array; OSError if the kernel refuses.

    The kernel writes as many bytes as the map's values have, in a per-CPU map for each CPU. Fewer
    ``value_bytes`` are a write beyond the buffer.
    """
    key, value = ctypes.c_uint32(index), ctypes.create_string_buffer(value_bytes)
    words = struct.pack("=IIQQQ", map_fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0)
    bpf(_MAP_LOOKUP_ELEM, words)
    return value.raw


def entries(map_fd: int, key_bytes: int, value_bytes: int) -> Iterator[bytes]:
    """Yield the values of a hash map, at most 4,096; one that goes away meanwhile is left out."""
    key, following = (ctypes.create_string_buffer(key_bytes) for _ in range(2))
    value = ctypes.create_string_buffer(value_bytes)
    begin = 0  # without a key the kernel returns the first one
    with suppress(OSError):  # ENOENT after the last one
        for _ in range(_MOST_ENTRIES):
            where = (begin, ctypes.addressof(following), 0)
            bpf(_MAP_GET_NEXT_KEY, struct.pack("=IIQQQ", map_fd, 0, *where))
            key.raw, begin = following.raw, ctypes.addressof(key)
            with suppress(OSError):
                words = (begin, ctypes.addressof(value), 0)
                bpf(_MAP_LOOKUP_ELEM, struct.pack("=IIQQQ", map_fd, 0, *words))
                yield value.raw


def update(map_fd: int, index: int, value: bytes) -> None:
    """Set one element of an array, or of a hash with 32-bit keys."""
    put(map_fd, struct.pack("=I", index), value)


def put(map_fd: int, key: bytes, value: bytes) -> None:
    """Set one element of a hash."""
    where, buffer = ctypes.create_string_buffer(key), ctypes.create_string_buffer(value)
    words = struct.pack("=IIQQQ", map_fd, 0, ctypes.addressof(where), ctypes.addressof(buffer), 0)
    bpf(_MAP_UPDATE_ELEM, words)


def delete(map_fd: int, index: int) -> None:
    """Remove one element of a hash with 32-bit keys."""
    remove(map_fd, struct.pack("=I", index))


def remove(map_fd: int, key: bytes) -> None:
    """Remove one element of a hash."""
    where = ctypes.create_string_buffer(key)
    bpf(_MAP_DELETE_ELEM, struct.pack("=IIQQQ", map_fd, 0, ctypes.addressof(where), 0, 0))


def counters(program_fd: int) -> tuple[int, int, int | None]:
    """Return run time in ns, runs, and missed runs (None on kernels without the count).

    Run time and runs stay 0 unless kernel.bpf_stats_enabled is set.
    """
    info, filled = object_info(program_fd, _INFO_BYTES)
    run_time, runs, misses = _COUNTERS.unpack_from(info, _COUNTERS_AT)
    has_misses = filled >= _COUNTERS_AT + _COUNTERS.size
    return run_time, runs, misses if has_misses else None


def recursion_misses(programs: Mapping[str, int]) -> dict[str, int] | None:
    """Return how often the kernel skipped each program; None if the kernel does not count it.

    Parameters
    ----------
    programs : mapping
        Name to descriptor.
    """
    found: dict[str, int] = {}
    for name, fd in programs.items():
        with suppress(OSError, KeyError):
            misses = counters(fd)[2]
            if misses is not None:
                found[name] = misses
    return found or None
