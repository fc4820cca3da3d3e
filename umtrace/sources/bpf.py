"""The live source on BPF; the only module that imports bcc."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from contextlib import suppress
from typing import Any

from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.constants import TASK_DEAD, host_mntns, layout_constants
from umtrace.kernel.stacks import function_constants
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.records.clock import ClockPair
from umtrace.records.errors import NoTierError, NotPermittedError
from umtrace.records.events import EVENT_DTYPE, NAME_DTYPE, EventBatch, Loss
from umtrace.records.losses import LossReport
from umtrace.sources.bpf_files import bpf_directory, headers_directory, program_text
from umtrace.sources.perf_event import attach_tracepoint
from umtrace.sources.program_info import recursion_misses
from umtrace.sources.ringbuf import RingReader
from umtrace.sources.stderr import SHOW, Captured, held_back

EVENT_RING_BYTES = 16 << 20
NAME_RING_BYTES = 8 << 20
MAX_TASKS = 16384
_BUSY_RING = 0.1  # above this fill the reader does not sleep


class TracepointSource:
    """The tracepoint tier: needs no function probes (see bpf/tracepoint.c).

    Parameters
    ----------
    event_ring_bytes, name_ring_bytes : int
        Sizes of the two rings, powers of two and multiples of the page size.
    """

    tier = "tracepoint"

    def __init__(
        self,
        *,
        event_ring_bytes: int = EVENT_RING_BYTES,
        name_ring_bytes: int = NAME_RING_BYTES,
    ) -> None:
        self.clock = ClockPair.now()
        self._ring_bytes = (event_ring_bytes, name_ring_bytes)
        self._bpf: Any = None
        self._programs: list[int] = []
        self._perf_fds: list[int] = []
        self._rings: tuple[RingReader, RingReader] | None = None
        self._constants: dict[str, int | str] = {}
        self._symbols_known = False
        self._no_btf = ""

    def open(self) -> None:
        """Compile, load and attach.

        Raises
        ------
        NoTierError
            bcc is missing or this kernel lacks a tracepoint.
        NotPermittedError
            The kernel refuses BPF to this user.
        """
        bcc = _import_bcc()
        _require_root()
        self._learn_kernel()
        try:
            self._bpf = _compile(bcc, self._constants)
            self._attach(bcc)
        except BaseException:
            self.close()
            raise
        event_bytes, name_bytes = self._ring_bytes
        self._rings = (
            RingReader(self._bpf[b"events"].map_fd, event_bytes, EVENT_DTYPE),
            RingReader(self._bpf[b"names"].map_fd, name_bytes, NAME_DTYPE),
        )
        self.clock = ClockPair.now()

    def _learn_kernel(self) -> None:
        symbols = Symbols.load()
        self._symbols_known = symbols.known
        self._constants = {
            "PAGE_SIZE": mmap.PAGESIZE,
            "UM_EVENT_PAGES": self._ring_bytes[0] // mmap.PAGESIZE,
            "UM_NAME_PAGES": self._ring_bytes[1] // mmap.PAGESIZE,
            "UM_MAX_TASKS": MAX_TASKS,
            "UM_TASK_DEAD": TASK_DEAD,
            "UM_HOST_MNTNS": host_mntns(),
            **function_constants(symbols),
        }
        try:
            with Btf() as btf:
                self._constants |= layout_constants(btf)
        except BtfUnavailableError as error:
            self._no_btf = str(error)
            self._constants |= layout_constants(None)

    def _attach(self, bcc: Any) -> None:
        # The next-syscall probe goes first and the entry probe last: nothing is
        # followed before everything that must see it is there.
        self._raw(bcc, b"sys_enter", b"um_next_syscall")
        with Tracefs() as tracefs:
            if "UM_OFF_TASK_STATE" in self._constants:
                self._raw(bcc, b"sched_switch", b"um_switch")
            else:
                self._event(bcc, tracefs, "sched:sched_switch", b"um_switch")
            self._raw(bcc, b"sched_process_exit", b"um_process_exit")
            self._event(bcc, tracefs, "syscalls:sys_exit_umount", b"um_exit")
            self._event(bcc, tracefs, "syscalls:sys_enter_umount", b"um_enter")

    def _raw(self, bcc: Any, tracepoint: bytes, function: bytes) -> None:
        self._programs.append(_load(self._bpf, function, bcc.BPF.RAW_TRACEPOINT))
        try:
            self._bpf.attach_raw_tracepoint(tp=tracepoint, fn_name=function)
        except Exception as error:
            raise NoTierError(f"cannot attach to {tracepoint.decode()}: {error}") from error

    def _event(self, bcc: Any, tracefs: Tracefs, event: str, function: bytes) -> None:
        program = _load(self._bpf, function, bcc.BPF.TRACEPOINT)
        self._programs.append(program)
        self._perf_fds.append(attach_tracepoint(tracefs.event_id(event), program))

    def read(self, timeout_s: float) -> EventBatch | None:
        """Wait up to ``timeout_s`` and drain both rings; None once closed."""
        if self._rings is None:
            return None
        events, names = self._rings
        if timeout_s > 0 and events.fill < _BUSY_RING:
            time.sleep(timeout_s)
        # Events first: the name of an event is submitted before the event itself.
        drained = events.read()
        return EventBatch(drained, names.read())

    def losses(self) -> LossReport:
        """Return what the kernel side could not deliver since ``open``."""
        if self._bpf is None:
            return LossReport()
        table = self._bpf[b"losses"]
        lost = {loss: [int(n) for n in table[ctypes.c_int(loss)]] for loss in Loss}
        return LossReport(
            ring_events=sum(lost[Loss.EVENT_RING]),
            ring_events_per_cpu=tuple(lost[Loss.EVENT_RING]),
            ring_names=sum(lost[Loss.NAME_RING]),
            task_map_full=sum(lost[Loss.TASK_MAP]),
            stacks_lost=sum(lost[Loss.STACK]),
            probe_misses=recursion_misses(self._programs),
        )

    def plan(self) -> list[dict[str, str]]:
        """Return what is probed, how, and why so."""
        switch = "raw tracepoint" if "UM_OFF_TASK_STATE" in self._constants else "tracepoint"
        waits = "ok" if self._symbols_known else "kernel addresses hidden (kptr_restrict)"
        namespace = f"no mount namespace, no ns-exit: {self._no_btf}" if self._no_btf else waits
        rows = (
            ("operation", "syscalls:sys_enter_umount, sys_exit_umount", "tracepoint", "ok"),
            ("waits", "sched:sched_switch with the kernel stack", switch, waits),
            ("shutdown", "raw_syscalls:sys_enter", "raw tracepoint", "ok"),
            ("namespace exit", "sched:sched_process_exit", "raw tracepoint", namespace),
        )
        return [
            {"meaning": m, "probe": probe, "how": how, "reason": reason}
            for m, probe, how, reason in rows
        ]

    def close(self) -> None:
        """Detach and free everything; may be called twice."""
        for fd in self._perf_fds:
            with suppress(OSError):
                os.close(fd)
        self._perf_fds.clear()
        for ring in self._rings or ():
            ring.close()
        self._rings = None
        if self._bpf is not None:
            self._bpf.cleanup()
            self._bpf = None


def _import_bcc() -> Any:
    try:
        import bcc
    except ImportError as error:
        raise NoTierError(
            f"bcc cannot be imported ({error}): install the distribution's python3-bpfcc and "
            "use a virtual environment made with --system-site-packages"
        ) from error
    if not hasattr(bcc, "BPF"):
        raise NoTierError(
            "the installed 'bcc' is an unrelated project from PyPI: pip uninstall bcc, then "
            "install the distribution's python3-bpfcc"
        )
    return bcc


def _require_root() -> None:
    if os.geteuid() != 0:
        raise NotPermittedError("tracing needs root: run it with sudo")


def _compile(bcc: Any, constants: dict[str, int | str]) -> Any:
    os.environ.setdefault("BCC_KERNEL_SOURCE", str(headers_directory()))
    defines = [f"-D{name}={value}" for name, value in constants.items()]
    flags = [f"-I{bpf_directory()}", "-w", *defines]
    try:
        with held_back() as captured:
            return bcc.BPF(text=program_text("tracepoint.c").encode(), cflags=flags)
    except Exception as error:
        raise NoTierError(f"bcc cannot compile the probes: {_why(captured, error)}") from error


def _load(bpf: Any, function: bytes, kind: int) -> int:
    try:
        with held_back() as captured:
            return int(bpf.load_func(function, kind).fd)
    except Exception as error:
        message = f"the kernel refuses {function.decode()}: {_why(captured, error)}"
        if "not permitted" in str(error):  # EPERM; EACCES is the verifier
            raise NotPermittedError(message) from error
        raise NoTierError(message) from error


def _why(captured: Captured, error: Exception) -> str:
    return f"{captured.last_line or error} ({SHOW}=1 shows all)"
