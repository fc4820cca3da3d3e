"""The live source on BPF; the only module that imports bcc."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.constants import TASK_DEAD, host_mntns, layout_constants, possible_cpus
from umtrace.kernel.meanings import SYSTEM_CALL
from umtrace.kernel.offer import Offer, offer_of
from umtrace.kernel.plan import (
    FUNCTION_TIERS,
    PROBE_SETS,
    Plan,
    PlannedProbe,
    make_plan,
)
from umtrace.kernel.stacks import function_constants
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.records.clock import ClockPair
from umtrace.records.errors import NoTierError, NotPermittedError, UmtraceError, UsageError
from umtrace.records.events import EVENT_DTYPE, NAME_DTYPE, EventBatch, Loss
from umtrace.records.losses import LossReport
from umtrace.sources.bpf_files import bpf_directory, headers_directory, program_text
from umtrace.sources.kprobe_events import KprobeEvents
from umtrace.sources.perf_event import attach_tracepoint
from umtrace.sources.program_info import recursion_misses
from umtrace.sources.ringbuf import RingReader
from umtrace.sources.stderr import SHOW, Captured, held_back
from umtrace.sources.walkers import WalkerProbes

EVENT_RING_BYTES = 16 << 20
NAME_RING_BYTES = 8 << 20
MAX_TASKS = 16384
MAX_COUNTED_CPUS = 256  # a put sums over the CPUs; with more, references are not counted
_OPERATION = ("syscalls:sys_exit_umount", "syscalls:sys_enter_umount")
_BUSY_RING = 0.1  # above this fill the reader does not sleep


class BpfSource:
    """The BPF tiers: tracepoints alone, or with function probes as fentry or kprobe.

    Parameters
    ----------
    tier : str
        tracepoint, kprobe or fentry.
    probes : str
        ``full``; ``light`` without what a path walk would pay for; ``adaptive``, light until
        an EBUSY or a slow umount shows up (fentry only; light elsewhere).
    declined : sequence of mappings
        Lines of the plan for the tiers that were tried before this one.
    event_ring_bytes, name_ring_bytes : int
        Sizes of the two rings, powers of two and multiples of the page size.
    """

    def __init__(
        self,
        tier: str = "tracepoint",
        *,
        probes: str = "full",
        declined: Sequence[dict[str, str]] = (),
        event_ring_bytes: int = EVENT_RING_BYTES,
        name_ring_bytes: int = NAME_RING_BYTES,
    ) -> None:
        self.tier = tier
        self.clock = ClockPair.now()
        self._ring_bytes = (event_ring_bytes, name_ring_bytes)
        if probes not in PROBE_SETS:
            raise UsageError(f"no probe set '{probes}'; there is {', '.join(PROBE_SETS)}")
        # Kprobe events cannot come and go while their watcher knows them by name.
        self._adaptive = probes == "adaptive" and tier == "fentry"
        light = probes == "light" or (probes == "adaptive" and not self._adaptive)
        self._probe_set = "light" if light else "full"
        self._offer = Offer()
        self._chosen = Plan(tier, ())
        self._walkers: WalkerProbes | None = None
        self._bpf: Any = None
        self._cleanup = ExitStack()
        self._programs: list[int] = []
        self._rings: tuple[RingReader, RingReader] | None = None
        self._constants: dict[str, int | str] = {}
        self._kprobes: KprobeEvents | None = None
        self._symbols = Symbols([], [])
        self._no_btf = ""
        self._plan: list[dict[str, str]] = list(declined)

    def open(self) -> None:
        """Compile, load and attach.

        Raises
        ------
        NoTierError
            bcc is missing, or this kernel lacks what the tier needs.
        NotPermittedError
            The kernel refuses BPF, or function probes, to this user.
        """
        bcc = _import_bcc()
        _require_root()
        self._learn_kernel()
        try:
            self._bpf = _compile(bcc, self._constants, functions=self.tier in FUNCTION_TIERS)
            tracefs = self._cleanup.enter_context(Tracefs())
            self._attach_tracepoints(bcc, tracefs, last=())
            self._attach_functions(bcc, tracefs)
            self._attach_tracepoints(bcc, tracefs, last=_OPERATION)
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
        self._symbols = Symbols.load()
        self._constants = {
            "PAGE_SIZE": mmap.PAGESIZE,
            "UM_EVENT_PAGES": self._ring_bytes[0] // mmap.PAGESIZE,
            "UM_NAME_PAGES": self._ring_bytes[1] // mmap.PAGESIZE,
            "UM_MAX_TASKS": MAX_TASKS,
            "UM_TASK_DEAD": TASK_DEAD,
            "UM_HOST_MNTNS": host_mntns(),
            **function_constants(self._symbols),
        }
        try:
            with Btf() as btf:
                self._constants |= layout_constants(btf)
                self._offer = offer_of(self._symbols, btf)
        except BtfUnavailableError as error:
            self._no_btf = str(error)
            self._constants |= layout_constants(None)
            self._offer = offer_of(self._symbols, None, btf_missing=self._no_btf)
        self._chosen = make_plan(self._offer, self.tier, self._probe_set)
        if self._chosen.impossible:
            raise NoTierError(self._chosen.impossible)
        if self.tier in FUNCTION_TIERS:
            self._constants |= self._function_tier_constants()

    def _function_tier_constants(self) -> dict[str, int | str]:
        constants: dict[str, int | str] = {"UM_FUNCTIONS": 1}
        if self._chosen.probe_for(SYSTEM_CALL):
            constants["UM_SYSCALL_FUNCTION"] = 1
        if self.tier == "fentry":
            constants["UM_FENTRY"] = 1
        if any(probe.hot for probe in self._chosen.probes):
            constants["UM_WITH_WALKERS"] = 1
        unmounted = self._symbols.data_address("unmounted")
        if unmounted:
            constants["UM_ADDR_UNMOUNTED"] = f"{unmounted:#x}ULL"
        per_cpu, cpus = self._symbols.data_address("__per_cpu_offset"), possible_cpus()
        if per_cpu and 0 < cpus <= MAX_COUNTED_CPUS:
            constants |= {"UM_ADDR_PER_CPU_OFFSET": f"{per_cpu:#x}ULL", "UM_CPUS": cpus}
        return constants

    def _attach_tracepoints(self, bcc: Any, tracefs: Tracefs, *, last: tuple[str, ...]) -> None:
        # The next-syscall probe goes first and the entry probe last: nothing is
        # followed before everything that must see it is there.
        if last and self._chosen.probe_for(SYSTEM_CALL):
            return
        if last:
            for event, function in zip(last, (b"um_exit", b"um_enter"), strict=True):
                self._event(bcc, tracefs, event, function)
            self._note("operation", "syscalls:sys_enter_umount, sys_exit_umount", "tracepoint")
            return
        self._raw(bcc, b"sys_enter", b"um_next_syscall")
        if self.tier in FUNCTION_TIERS:
            # A hit that is skipped is no loss here: cleanup_mnt tells the end, and any later
            # system call of the task closes the operation.
            self._programs.pop()
        self._note("return to user mode", "raw_syscalls:sys_enter", "raw tracepoint")
        known = "ok" if self._symbols.known else "kernel addresses hidden (kptr_restrict)"
        if "UM_OFF_TASK_STATE" in self._constants:
            self._raw(bcc, b"sched_switch", b"um_switch")
            self._note("waits", "sched:sched_switch, kernel stack", "raw tracepoint", known)
        else:
            self._event(bcc, tracefs, "sched:sched_switch", b"um_switch")
            self._note("waits", "sched:sched_switch, kernel stack", "tracepoint", known)
        self._raw(bcc, b"sched_process_exit", b"um_process_exit")
        lost = f"no mount namespace, no ns-exit: {self._no_btf}" if self._no_btf else known
        self._note("namespace exit", "sched:sched_process_exit", "raw tracepoint", lost)

    def _raw(self, bcc: Any, tracepoint: bytes, function: bytes) -> None:
        self._programs.append(_load(self._bpf, function, bcc.BPF.RAW_TRACEPOINT))
        try:
            self._bpf.attach_raw_tracepoint(tp=tracepoint, fn_name=function)
        except Exception as error:
            raise NoTierError(f"cannot attach to {tracepoint.decode()}: {error}") from error

    def _event(self, bcc: Any, tracefs: Tracefs, event: str, function: bytes) -> None:
        program = _load(self._bpf, function, bcc.BPF.TRACEPOINT)
        self._attach_event(tracefs, event, program)

    def _attach_event(self, tracefs: Tracefs, event: str, program: int) -> None:
        self._programs.append(program)
        fd = attach_tracepoint(tracefs.event_id(event), program)
        self._cleanup.callback(os.close, fd)

    def _attach_functions(self, bcc: Any, tracefs: Tracefs) -> None:
        if self.tier == "kprobe":
            self._kprobes = KprobeEvents(tracefs)
            self._cleanup.callback(self._kprobes.close)
        cool = [p for p in self._chosen.probes if not p.hot]
        # What opens an operation goes last: all that must see it is there by then.
        cool.sort(key=lambda probe: probe.meaning is SYSTEM_CALL)
        self._attach_probes(bcc, tracefs, cool)
        self._attach_walkers(bcc, tracefs)
        if self._kprobes:
            self._kprobes.watch()

    def _attach_walkers(self, bcc: Any, tracefs: Tracefs) -> None:
        hot = [probe for probe in self._chosen.probes if probe.hot]
        if hot:
            self._walkers = WalkerProbes(
                attach=lambda: self._attach_probes(bcc, tracefs, hot),
                detach=lambda: self._detach_probes(hot),
                announce=self._announce_walkers,
                adaptive=self._adaptive,
            )

    def _announce_walkers(self, watching: bool) -> None:
        self._bpf[b"watching"][ctypes.c_int(0)] = ctypes.c_uint32(watching)

    def _attach_probes(self, bcc: Any, tracefs: Tracefs, probes: Sequence[PlannedProbe]) -> None:
        for probe in probes:
            self._attach_probe(bcc, tracefs, probe)

    def _detach_probes(self, probes: Sequence[PlannedProbe]) -> None:
        for probe in probes:
            for on_return in probe.sides(entry_needed=False):
                name = _fentry_name(self._bpf, probe.function, on_return=on_return)
                detach = self._bpf.detach_kretfunc if on_return else self._bpf.detach_kfunc
                detach(fn_name=name)
                self._programs.remove(self._bpf.funcs[name].fd)

    def _attach_probe(self, bcc: Any, tracefs: Tracefs, probe: PlannedProbe) -> None:
        try:
            for on_return in probe.sides(entry_needed=self.tier == "kprobe"):
                self._place(bcc, tracefs, probe, on_return=on_return)
        except UmtraceError as error:
            self._offer = self._offer.without(probe.symbol, str(error))
            self._chosen = make_plan(self._offer, self.tier, self._probe_set)
            substitute = self._chosen.probe_for(probe.meaning)
            if substitute:
                self._attach_probe(bcc, tracefs, substitute)
            elif probe.meaning.required:
                raise

    def _place(self, bcc: Any, tracefs: Tracefs, probe: PlannedProbe, *, on_return: bool) -> None:
        if self._kprobes:
            side = "return" if on_return else "entry"
            program = _load(self._bpf, f"um_{side}_{probe.function}".encode(), bcc.BPF.KPROBE)
            event = self._kprobes.add(probe.symbol, on_return=on_return)
            self._attach_event(tracefs, event, program)
        else:
            self._programs.append(_attach_fentry(self._bpf, probe.function, on_return=on_return))

    def _note(self, meaning: str, probe: str, how: str, reason: str = "ok") -> None:
        self._plan.append({"meaning": meaning, "probe": probe, "how": how, "reason": reason})

    def read(self, timeout_s: float) -> EventBatch | None:
        """Wait up to ``timeout_s`` and drain both rings; None once closed."""
        if self._rings is None:
            return None
        events, names = self._rings
        if timeout_s > 0 and events.fill < _BUSY_RING:
            time.sleep(timeout_s)
        # Events first: the name of an event is submitted before the event itself.
        drained = events.read()
        if self._walkers:
            self._walkers.look(drained)
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
            probe_misses=self._misses(),
        )

    def _misses(self) -> int | None:
        skipped = recursion_misses(self._programs)
        missed = self._kprobes.misses() if self._kprobes else None
        return skipped if missed is None else (skipped or 0) + missed

    def plan(self) -> list[dict[str, str]]:
        """Return what is probed, how, and why so."""
        return [*self._plan, *self._chosen.lines()]

    def close(self) -> None:
        """Detach and free everything; may be called twice."""
        for ring in self._rings or ():
            ring.close()
        self._rings = None
        self._cleanup.close()
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


def _compile(bcc: Any, constants: dict[str, int | str], *, functions: bool) -> Any:
    class Quiet(bcc.BPF):  # type: ignore[misc]
        """Attaches nothing by itself: every probe is tried, and may have a substitute."""

        def _trace_autoload(self) -> None:
            count = bcc.lib.bpf_num_functions(self.module)
            names = (bcc.lib.bpf_function_name(self.module, i) for i in range(count))
            self.function_names = [bytes(name) for name in names]

    os.environ.setdefault("BCC_KERNEL_SOURCE", str(headers_directory()))
    defines = [f"-D{name}={value}" for name, value in constants.items()]
    flags = [f"-I{bpf_directory()}", "-w", *defines]
    text = program_text(functions=functions)
    try:
        with held_back() as captured:
            return Quiet(text=text.encode(), cflags=flags)
    except Exception as error:
        raise NoTierError(f"bcc cannot compile the probes: {_why(captured, error)}") from error


def _load(bpf: Any, function: bytes, kind: int) -> int:
    try:
        with held_back() as captured:
            return int(bpf.load_func(function, kind).fd)
    except Exception as error:
        raise _refused(function.decode(), captured, error) from error


def _attach_fentry(bpf: Any, function: str, *, on_return: bool) -> int:
    attach = bpf.attach_kretfunc if on_return else bpf.attach_kfunc
    name = _fentry_name(bpf, function, on_return=on_return)
    try:
        with held_back() as captured:
            attach(fn_name=name)
    except Exception as error:
        raise _refused(function, captured, error) from error
    return int(bpf.funcs[name].fd)


def _fentry_name(bpf: Any, function: str, *, on_return: bool) -> bytes:
    """Return what bcc's macro called the program; newer releases put the module in."""
    prefix = b"kretfunc__" if on_return else b"kfunc__"
    ends = {prefix + function.encode(), prefix + b"vmlinux__" + function.encode()}
    found: bytes = next(name for name in bpf.function_names if name in ends)
    return found


def _refused(what: str, captured: Captured, error: Exception) -> UmtraceError:
    message = f"the kernel refuses {what}: {_why(captured, error)}"
    if "not permitted" in str(error):  # EPERM; EACCES is the verifier
        return NotPermittedError(message)
    return NoTierError(message)


def _why(captured: Captured, error: Exception) -> str:
    return f"{captured.last_line or error} ({SHOW}=1 shows all)"
