"""Compiled probes in the kernel: their maps made, their programs loaded and attached.

Everything is held by descriptors of this process, so the kernel removes it when the process ends,
in whatever way.
"""

from __future__ import annotations

import errno
import os
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from umtrace.kernel.refusals import locked_down, perf_refused, refusal
from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError
from umtrace.probes.constants import possible_cpus
from umtrace.sources.bpf.addresses import with_addresses
from umtrace.sources.bpf.bpf_functions import with_steps, words_at
from umtrace.sources.bpf.bpf_syscall import (
    MMAPABLE,
    AttachType,
    ProgramType,
    RefusedError,
    create_map,
    link_iterator,
    load_program,
    lookup,
    open_raw_tracepoint,
    update,
)
from umtrace.sources.bpf.compiler import SHOW, Compiled, last_line
from umtrace.sources.bpf.perf_event import attach_kprobe, attach_tracepoint

_LOAD_WORD = 0x18  # BPF_LD | BPF_DW | BPF_IMM: two instructions wide
_PSEUDO_MAP_FD = 1
_MAPPED = {"tasks"}  #: arrays that this process maps
_CALL = 0x85  # BPF_JMP | BPF_CALL
_PSEUDO_KFUNC = 2
_CAST_CALL = struct.pack("=i", 7777)  # bpf/words.h


class BpfObject:
    """The maps and programs of one compilation; close detaches and frees them.

    A program is loaded when it is attached, since one that the kernel refuses may have a
    substitute.

    Parameters
    ----------
    compiled : Compiled
    cast_id : int
        BTF id of ``bpf_rdonly_cast``, which bcc cannot call; 0 where no program does.

    Raises
    ------
    NoTierError, NotPermittedError
        The maps cannot be made.
    """

    def __init__(self, compiled: Compiled, cast_id: int = 0) -> None:
        self._compiled = compiled
        self._cast_id = cast_id
        self._maps: dict[str, int] = {}
        self._programs: dict[str, int] = {}
        self._links: dict[str, int] = {}
        self._cpus = possible_cpus()
        if not self._cpus:  # of a per-CPU map the kernel writes as many values as it has CPUs
            raise NoTierError("the CPUs cannot be counted: mount sysfs, mount -t sysfs sys /sys")
        try:
            with memory_unlimited():
                for name, (_fd, info) in compiled.maps.items():
                    flags = info.flags | (MMAPABLE if name in _MAPPED else 0)
                    self._maps[name] = create_map(name, info._replace(flags=flags))
        except OSError as error:
            self.close()
            raise refused("maps", error) from error

    @property
    def programs(self) -> dict[str, int]:
        """Name and descriptor of every program that is or was attached."""
        return dict(self._programs)

    def has_program(self, name: str) -> bool:
        """Whether a program was compiled; what lacks a constant was not."""
        return name in self._compiled.programs

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map."""
        return self._maps[name]

    def per_cpu(self, name: str, index: int) -> list[int]:
        """Return one 64-bit element of a per-CPU array, CPU by CPU."""
        value = lookup(self._maps[name], index, 8 * self._cpus)
        return list(struct.unpack(f"={self._cpus}Q", value))

    def words(self, name: str, n: int) -> tuple[int, ...]:
        """Return the first ``n`` 32-bit words of the first element of an array."""
        _fd, info = self._compiled.maps[name]
        # The kernel writes the whole value, whatever is wanted of it.
        return struct.unpack_from(f"={n}I", lookup(self._maps[name], 0, info.value_bytes))

    def set_word(self, name: str, word: int) -> None:
        """Set the first element of an array of 32-bit words."""
        update(self._maps[name], 0, struct.pack("=I", word))

    def attach_raw(self, tracepoint: str, function: str) -> None:
        """Run a program at a raw tracepoint.

        Raises
        ------
        NoTierError, NotPermittedError
            The kernel refuses; the other ``attach`` methods raise these as well.
        """
        program = self._load(function, ProgramType.RAW_TRACEPOINT)
        self._link(function, tracepoint, lambda: open_raw_tracepoint(program, tracepoint))

    def attach_event(
        self,
        event_id: int,
        function: str,
        kind: Literal[ProgramType.TRACEPOINT, ProgramType.KPROBE],
    ) -> None:
        """Run a program at a tracepoint or kprobe event."""
        program = self._load(function, kind)
        self._link(function, function, lambda: attach_tracepoint(event_id, program))

    def attach_kprobe(self, symbol: str, function: str) -> None:
        """Run a program at the entry of a kernel function, without an event in tracefs."""
        program = self._load(function, ProgramType.KPROBE)
        self._link(function, symbol, lambda: attach_kprobe(symbol, program))

    def attach_fentry(self, function: str, btf_id: int, *, on_return: bool) -> None:
        """Run a program at the entry or return of the kernel function with that BTF id."""
        side = AttachType.FEXIT if on_return else AttachType.FENTRY
        program = self._load(function, ProgramType.TRACING, side, btf_id)
        self._link(function, function, lambda: open_raw_tracepoint(program, None))

    def attach_iterator(self, function: str, btf_id: int) -> int:
        """Make a program one that runs for each task of a pass; returns the link to begin passes.

        ``btf_id`` is that of ``bpf_iter_task``.
        """
        program = self._load(function, ProgramType.TRACING, AttachType.ITERATOR, btf_id)
        self._link(function, function, lambda: link_iterator(program))
        return self._links[function]

    def detach(self, function: str) -> None:
        """Detach a program if it is attached; it stays loaded."""
        link = self._links.pop(function, None)
        if link is not None:
            os.close(link)

    def close(self) -> None:
        """Detach and free everything; may be called twice."""
        for held in (self._links, self._programs, self._maps):
            for fd in reversed(held.values()):
                os.close(fd)
            held.clear()

    def _link(self, function: str, what: str, attach: Callable[[], int]) -> None:
        try:
            self._links[function] = attach()
        except OSError as error:
            raise refused(what, error) from error

    def _load(
        self,
        function: str,
        kind: ProgramType,
        side: AttachType = AttachType.NONE,
        btf_id: int = 0,
    ) -> int:
        if function not in self._programs:
            code, functions = with_steps(self._code(function), self._code)
            try:
                with memory_unlimited():
                    self._programs[function] = load_program(
                        function,
                        code,
                        kind,
                        attach_type=side,
                        attach_btf_id=btf_id,
                        functions=functions,
                    )
            except OSError as error:
                raise refused(function, error) from error
        return self._programs[function]

    def _code(self, function: str) -> bytes:
        """Return a program with this boot's addresses and this process's map descriptors."""
        code = with_addresses(self._compiled.programs[function], self._compiled.addresses)
        own = {fd: self._maps[name] for name, (fd, _info) in self._compiled.maps.items()}
        patched = bytearray(code)
        for at in words_at(code):
            if code[at] == _LOAD_WORD and code[at + 1] >> 4 == _PSEUDO_MAP_FD:
                (fd,) = struct.unpack_from("=i", code, at + 4)
                struct.pack_into("=i", patched, at + 4, own[fd])
            elif code[at] == _CALL and code[at + 4 : at + 8] == _CAST_CALL:
                patched[at + 1] |= _PSEUDO_KFUNC << 4
                struct.pack_into("=i", patched, at + 4, self._cast_id)
        return bytes(patched)


@contextmanager
def memory_unlimited() -> Iterator[None]:
    """Lift the limit that kernels before 5.11 charge BPF memory to, 3ac1f01b43b6."""
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, no_limit)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def refused(what: str, error: OSError) -> UmtraceError:
    """Return the error of a tier whose program the kernel refuses, with the verifier's reason."""
    log = error.log if isinstance(error, RefusedError) else ""
    if os.environ.get(SHOW):
        sys.stderr.write(log)
    if locked := locked_down():  # the verifier then knows no helper that reads the kernel
        return NotPermittedError(f"the kernel refuses {what}: {locked}")
    if reason := last_line(log).strip():  # from the verifier, whatever the errno is
        return NoTierError(f"the kernel refuses {what}: {reason} ({SHOW}=1 shows all)")
    if error.errno in {errno.EPERM, errno.EACCES} and (why := perf_refused()):
        return NotPermittedError(f"the kernel refuses {what}: {why}")
    return refusal(f"the kernel refuses {what}", error)
