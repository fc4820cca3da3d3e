"""Umounts that stay in a place of the kernel for seconds, since a BPF program runs there.

The program is at the entry of a function, and runs for one task only. Meanwhile preemption is off:
the task cannot be killed, and no grace period ends.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.held_umounts import umounter, until
from umtrace.exercise import syscalls
from umtrace.sources.bpf.bpf_functions import STEPS, with_steps
from umtrace.sources.bpf.bpf_object import memory_unlimited
from umtrace.sources.bpf.bpf_syscall import ProgramType, load_program
from umtrace.sources.bpf.perf_event import attach_kprobe

SECONDS = 12
MOST_CALLS = 32
BEGINS_S = 10
_TURNS = 1 << 23  # the most that bpf_loop() makes
_PID_TGID, _BPF_LOOP = 14, 181
_RETURN_0 = bytes.fromhex("b7000000000000009500000000000000")  # r0 = 0; exit

#: where the task is that spins, and, of an umount that waits for it, what is on its stack
SPINS_IN = {"before": "path_umount", "tree": "umount_tree"}
WAITS_IN = {"lock": ("tree", "rwsem_down_write"), "rcu": ("before", "synchronize_rcu")}
PHASES = (*SPINS_IN, *WAITS_IN)


def program(tid: int, calls: int) -> bytes:
    """Return a program that takes ``calls`` times as long as _TURNS turns, in one task."""
    number = next(iter(STEPS))
    loop = (
        struct.pack("=BBhi", 0xB7, 1, 0, _TURNS),  # r1
        struct.pack("=BBhi", 0x18, 4 << 4 | 2, 0, number) + bytes(8),  # r2 = the step
        struct.pack("=BBhi", 0xB7, 3, 0, 0),  # r3
        struct.pack("=BBhi", 0xB7, 4, 0, 0),  # r4
        struct.pack("=BBhi", 0x85, 0, 0, _BPF_LOOP),
    )
    body = b"".join(loop) * calls
    head = (
        struct.pack("=BBhi", 0x85, 0, 0, _PID_TGID),
        struct.pack("=BBhi", 0x67, 0, 0, 32),  # r0 <<= 32
        struct.pack("=BBhi", 0x77, 0, 0, 32),  # r0 >>= 32
        struct.pack("=BBhi", 0x55, 0, len(body) // 8, tid),  # if r0 != tid: to the end
    )
    return b"".join(head) + body + _RETURN_0


@contextmanager
def spinning(function: str, tid: int, calls: int) -> Iterator[None]:
    """Let a task spin whenever it enters a function."""
    code, functions = with_steps(program(tid, calls), lambda _name: _RETURN_0)
    with memory_unlimited():
        loaded = load_program("um_spins", code, ProgramType.KPROBE, functions=functions)
    try:
        attached = attach_kprobe(function, loaded)
        try:
            yield
        finally:
            os.close(attached)
    finally:
        os.close(loaded)


def calls_for(seconds: float) -> int:
    """Return how many calls take that long here."""
    with spinning("__x64_sys_getpgid", os.getpid(), 1):
        begin = time.monotonic()
        os.getpgid(0)
    return min(MOST_CALLS, int(seconds / (time.monotonic() - begin)) + 1)


class Spinner:
    """Umounts in one phase: one that spins and, in some phases, one that waits for it."""

    def __init__(self, room: Path, phase: str, calls: int) -> None:
        self.phase, self.calls = phase, calls
        self.spins, self.stack = WAITS_IN.get(phase, (phase, ""))
        self.pids: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self._go: dict[str, int] = {}
        for who in ("spins", "waits")[: 2 if self.stack else 1]:
            folder = room / f"{phase}-{who}"
            folder.mkdir()
            syscalls.mount("none", str(folder), "tmpfs", data="size=4k")
            read, self._go[who] = os.pipe()
            self.pids[who] = umounter(folder, read)
            os.close(read)

    @contextmanager
    def there(self) -> Iterator[bool]:
        """Begin the umounts; yield whether each is where it should be."""
        with spinning(SPINS_IN[self.spins], self.pids["spins"], self.calls):
            os.write(self._go["spins"], b".")
            came = until(lambda: _is_running(self.pids["spins"]), BEGINS_S)
            time.sleep(0.3)
            if self.stack:
                os.write(self._go["waits"], b".")
                came = came and until(lambda: self.stack in _stack(self.pids["waits"]), BEGINS_S)
            yield came

    def still(self) -> bool:
        """Whether each is there now."""
        waits = not self.stack or self.stack in _stack(self.pids["waits"])
        return waits and _is_running(self.pids["spins"])

    def wait(self) -> None:
        """Wait for their ends."""
        for who, pid in self.pids.items():
            self.ended[who] = os.waitpid(pid, 0)[1]


def _is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"
    return False


def _stack(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stack").read_text()
    return ""
