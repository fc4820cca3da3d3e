"""The live source on BPF."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from umtrace.kernel.event_fields import objection
from umtrace.kernel.function_tracing import require_function_tracing
from umtrace.kernel.refusals import require_root
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.clock import ClockPair
from umtrace.model.errors import NoTierError, UmtraceError, UsageError
from umtrace.model.kinds import Loss
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PROGRAMS, PlanLine
from umtrace.model.tiers import tier_named
from umtrace.probes.capabilities import Capabilities
from umtrace.probes.constants import TASK_DEAD, host_mntns, possible_cpus, switch_constants
from umtrace.probes.counting import counting_constants, counting_lines
from umtrace.probes.on_demand import on_demand_lines
from umtrace.probes.plan import (
    NO_WALKS,
    PROBE_SETS,
    Plan,
    PlannedProbe,
    make_plan,
)
from umtrace.probes.plan_constants import plan_constants
from umtrace.probes.purposes import SYSTEM_CALL, SYSTEM_CALL_32
from umtrace.probes.stacks import function_constants
from umtrace.sources.bpf.adaptive import AdaptiveProbes
from umtrace.sources.bpf.births import birth_constants
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import ProgramType, recursion_misses
from umtrace.sources.bpf.capability_probe import kprobes_work, try_fentry, try_kprobe
from umtrace.sources.bpf.command import CommandProcesses, follow_command
from umtrace.sources.bpf.compiler import Compiler
from umtrace.sources.bpf.detached_puts import detached_put_constants
from umtrace.sources.bpf.kernel_reads import reading_constants
from umtrace.sources.bpf.kernel_tables import CAST, ITERATOR
from umtrace.sources.bpf.loss_counts import events_lost, missed_in, puts_skipped
from umtrace.sources.bpf.task_walk import TaskWalk, walk_tasks
from umtrace.sources.bpf.tracepoints import NEXT_SYSCALL, SWITCH, Tracepoints
from umtrace.sources.kprobe_events import KprobeEvents

EVENT_RING_BYTES = 16 << 20
NAME_RING_BYTES = 8 << 20
MAX_TASKS = 16384
_OPENERS = (SYSTEM_CALL, SYSTEM_CALL_32)
_MISSES_EVERY_S = 1.0  # a system call for each of 30 programs

if TYPE_CHECKING:
    from umtrace.model.events import Array, EventBatch
    from umtrace.model.open_tasks import OpenTask
    from umtrace.sources.bpf.kernel_tables import Tables
    from umtrace.sources.bpf.missed_puts import MissedPuts
    from umtrace.sources.bpf.open_tasks import OpenTasks
    from umtrace.sources.bpf.rings import Rings


class BpfSource:
    """The BPF tiers: tracepoints alone, or with function probes as fentry or kprobe.

    Parameters
    ----------
    tier : str
        tracepoint, kprobe or fentry.
    probes : str
        ``full``; ``light`` has a lean set of programs; ``adaptive`` is full without the probes on
        path walks until there is an EBUSY or a slow umount (fentry only; elsewhere it stays so).
    declined : sequence of PlanLine
        Lines of the plan for the tiers that were tried before this one.
    event_ring_bytes, name_ring_bytes : int
        Sizes of the two rings, powers of two and multiples of the page size.
    cpus : int, optional
        How many CPUs the programs add up; by default the possible ones of this host.
    meanwhile : callable
        Called before anything is attached, and while the compiler works, if it runs. What reads
        the events may be imported there, since this module needs no numpy until then.
    """

    def __init__(
        self,
        tier: str = "tracepoint",
        *,
        probes: str = "full",
        declined: Sequence[PlanLine] = (),
        event_ring_bytes: int = EVENT_RING_BYTES,
        name_ring_bytes: int = NAME_RING_BYTES,
        cpus: int | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self.tier = tier
        self._placement = tier_named(tier).placement
        self.clock = ClockPair.now()
        self._ring_bytes = (event_ring_bytes, name_ring_bytes)
        self._cpus = possible_cpus() if cpus is None else cpus
        if probes not in PROBE_SETS:
            raise UsageError(f"no probe set '{probes}'; there is {', '.join(PROBE_SETS)}")
        # Kprobe events cannot come and go, since the watcher knows each by its name.
        self._adaptive = probes == "adaptive" and self._placement == "fentry"
        self._probe_set = "full" if self._adaptive else NO_WALKS if probes == "adaptive" else probes
        self._offer = Capabilities()
        self._chosen = Plan(self._placement, ())
        self._walkers: AdaptiveProbes | None = None
        self._skips: MissedPuts | None = None
        self._tracepoints: Tracepoints | None = None
        self._loaded: BpfObject | None = None
        self._cleanup = ExitStack()
        self._rings: Rings | None = None
        self._open_tasks: OpenTasks | None = None
        self._meanwhile = meanwhile
        self._constants: dict[str, int | str] = {}
        self._kprobes: KprobeEvents | None = None
        self._walk: TaskWalk | None = None
        self._missed: dict[str, int] | None = None
        self._count_misses_at = 0.0
        self._symbols = Symbols([], [])
        self._btf_ids: dict[str, int] = {}
        self._no_btf = ""
        self._plan: list[PlanLine] = list(declined)

    def open(self) -> None:
        """Compile, load and attach.

        Raises
        ------
        NoTierError
            bcc is missing, or this kernel lacks what the tier needs.
        NotPermittedError
            The kernel refuses BPF, or function probes, to this user.
        """
        require_root()
        require_function_tracing(self._placement)
        try:
            with closing(Compiler()) as compiler:
                if not self._placement:
                    compiler.expect()  # imports bcc while this process reads symbols and BTF
                self._learn_kernel(compiler.tables())
                self._try_functions()
                compiled = compiler.compile(self._constants, meanwhile=self._meanwhile)
                self._note_programs(compiler)
            self._meanwhile()
            self._loaded = BpfObject(compiled, self._btf_ids.get(CAST, 0))
            tracefs = self._cleanup.enter_context(Tracefs())
            self._attach_functions(self._loaded, tracefs)
            self._attach_tracepoints(self._loaded, tracefs)
            if self._placement:
                self._walk, line = walk_tasks(self._loaded, self._btf_ids.get(ITERATOR, 0))
                self._plan.append(line)
            self._loaded.set_word("all_there", 1)
        except BaseException:
            self.close()
            raise
        from umtrace.sources.bpf.rings import Rings  # noqa: PLC0415 - numpy: see ``meanwhile``

        self._rings = Rings(self._loaded.map_fd, *self._ring_bytes)
        self.clock = ClockPair.now()

    def _learn_kernel(self, tables: Tables) -> None:
        self._symbols, self._offer = tables.symbols, tables.offer
        self._btf_ids, self._no_btf = tables.btf_ids, tables.no_btf
        self._constants = {
            "PAGE_SIZE": mmap.PAGESIZE,
            "UM_EVENT_PAGES": self._ring_bytes[0] // mmap.PAGESIZE,
            "UM_NAME_PAGES": self._ring_bytes[1] // mmap.PAGESIZE,
            "UM_MAX_TASKS": MAX_TASKS,
            "UM_TASK_DEAD": TASK_DEAD,
            "UM_HOST_MNTNS": host_mntns(),
            **function_constants(tables.symbols),
            **tables.layout,
        }
        with Tracefs() as tracefs:
            self._constants |= birth_constants(tracefs)
            if not self._raw_switches:
                offsets = tracefs.field_offsets(SWITCH)
                if unusable := objection(SWITCH, offsets):
                    raise NoTierError(unusable)
                self._constants |= switch_constants(offsets)
        if self._placement == "fentry" and self._offer.preemptible and not kprobes_work():
            self._offer = replace(self._offer, preemptible=False)  # skipped hits mark their rows
        self._chosen = make_plan(self._offer, self._placement, self._probe_set)
        if self._chosen.impossible:
            raise NoTierError(self._chosen.impossible)
        if self._placement:
            self._constants |= self._function_tier_constants()

    @property
    def _raw_switches(self) -> bool:
        """Whether the offsets in struct task_struct are known that a raw tracepoint needs."""
        return "UM_OFF_TASK_STATE" in self._constants

    def _try_functions(self) -> None:
        """Fail before the compiler runs, which takes a second, if the kernel refuses the tier."""
        first = next((p for p in self._chosen.probes if p.meaning.required), None)
        if first and self._placement == "fentry" and self._btf_ids.get(first.function):
            try_fentry(first.symbol, self._btf_ids[first.function])
        elif first and self._placement == "kprobe":
            try_kprobe(first.symbol)

    def _function_tier_constants(self) -> dict[str, int | str]:
        constants = plan_constants(self._offer, self._chosen, self._placement)
        constants |= reading_constants(self._symbols, self._btf_ids)
        constants |= detached_put_constants(self._symbols, self._chosen)
        offsets_at = self._symbols.data_address("__per_cpu_offset")
        return constants | counting_constants(offsets_at, self._cpus)

    def _attach_tracepoints(self, loaded: BpfObject, tracefs: Tracefs) -> None:
        self._tracepoints = Tracepoints(
            loaded=loaded,
            tracefs=tracefs,
            offer=self._offer,
            plan=self._chosen,
            raw_switches=self._raw_switches,
            ends_missed=lambda: missed_in(self._missed, self._chosen.last_function),
        )
        self._tracepoints.attach()
        self._plan += self._tracepoints.lines

    def _attach_functions(self, loaded: BpfObject, tracefs: Tracefs) -> None:
        if any(probe.how == "kprobe" for probe in self._chosen.probes):
            self._kprobes = KprobeEvents(tracefs)
            self._cleanup.callback(self._kprobes.close)
            self._kprobes.watch()
        cool = [p for p in self._chosen.probes if not p.hot]
        # Probes that open an operation come last, so that all others see the whole operation.
        cool.sort(key=lambda probe: probe.meaning in _OPENERS)
        self._attach_probes(loaded, tracefs, cool)
        self._attach_walkers(loaded, tracefs)

    def _attach_walkers(self, loaded: BpfObject, tracefs: Tracefs) -> None:
        hot = [probe for probe in self._chosen.probes if probe.hot]
        if hot:
            self._walkers = AdaptiveProbes(
                attach=lambda: self._attach_probes(loaded, tracefs, hot),
                detach=lambda: _detach_probes(loaded, hot),
                announce=lambda on: loaded.set_word("watching", on),
                adaptive=self._adaptive,
            )
            from umtrace.sources.bpf.missed_puts import MissedPuts  # noqa: PLC0415 - numpy

            self._skips = MissedPuts([partial(puts_skipped, loaded), partial(events_lost, loaded)])

    def _attach_probes(
        self, loaded: BpfObject, tracefs: Tracefs, probes: Sequence[PlannedProbe]
    ) -> None:
        for probe in probes:
            self._attach_probe(loaded, tracefs, probe)

    def _attach_probe(self, loaded: BpfObject, tracefs: Tracefs, probe: PlannedProbe) -> None:
        sides = probe.sides(entry_needed=probe.how == "kprobe")
        if probe.meaning in _OPENERS:  # the end first, so that an operation that begins has one
            sides.reverse()
        try:
            for on_return in sides:
                self._place(loaded, tracefs, probe, on_return=on_return)
        except UmtraceError as error:
            self._offer = self._offer.without(probe.symbol, str(error))
            self._chosen = make_plan(self._offer, self._placement, self._probe_set)
            substitute = self._chosen.probe_for(probe.meaning)
            if substitute:
                self._attach_probe(loaded, tracefs, substitute)
            elif probe.meaning.required:
                raise

    def _place(
        self, loaded: BpfObject, tracefs: Tracefs, probe: PlannedProbe, *, on_return: bool
    ) -> None:
        program = probe.program(on_return=on_return)
        # A probe that comes and goes is no event, since the watcher knows events by their names.
        stays = not (probe.hot and self._placement == "fentry")
        if probe.how == "kprobe" and self._kprobes and stays:
            event = self._kprobes.add(probe.symbol, on_return=on_return)
            loaded.attach_event(tracefs.event_id(event), program, ProgramType.KPROBE)
        elif probe.how == "kprobe":
            loaded.attach_kprobe(probe.symbol, program)
        elif self._btf_ids.get(probe.function):
            btf_id = self._btf_ids[probe.function]
            loaded.attach_fentry(program, btf_id, on_return=on_return)
        else:
            raise NoTierError(self._no_btf or f"BTF does not describe {probe.function}")

    def _note_programs(self, compiler: Compiler) -> None:
        line = PlanLine(meaning=PROGRAMS, probe="compiled from bpf/", how=compiler.how)
        if compiler.remark:
            line = replace(line, state="substitute", reason=compiler.remark)
        self._plan.append(line)

    def read(self, timeout_s: float) -> EventBatch | None:
        """Wait up to ``timeout_s`` and drain both rings; None once closed."""
        if self._rings is None:
            return None
        if timeout_s <= 0:  # the last read, after which the misses must be counted once more
            self._count_misses_at = 0.0
        return self._rings.read(timeout_s, self._inspect)

    def _inspect(self, events: Array) -> Array:
        if self._walkers and self._skips:
            self._walkers.update(events)
            events = self._skips.note(events)
        if self._tracepoints and self._tracepoints.stragglers:
            self._tracepoints.stragglers.update()
        return events

    def fill(self) -> float | None:
        """Return how full the last read found the fuller ring; None while not open."""
        return None if self._rings is None else self._rings.found

    def open_tasks(self) -> list[OpenTask] | None:
        """Return the operations that run now, out of the programs' maps; None while not open."""
        if self._loaded is None or not self._loaded.words("active", 1)[0]:
            return None if self._loaded is None else []
        if self._open_tasks is None:
            from umtrace.sources.bpf.open_tasks import OpenTasks  # noqa: PLC0415 - numpy

            whole = bool(self._placement) and self._probe_set == "full"
            self._open_tasks = OpenTasks(self._loaded.map_fd, by_function=whole)
        return self._open_tasks.read()

    def follow_command(self) -> CommandProcesses | None:
        """Follow a command's processes from now on; None if the kernel does not allow it."""
        return follow_command(self._loaded)

    def bell(self) -> int | None:
        """Return the ring that wakes the reader; None while not open."""
        return None if self._loaded is None else self._loaded.map_fd("bell")

    def task_walk(self) -> TaskWalk | None:
        """Return what finds the processes on a mount; None where the kernel has no such walk."""
        return self._walk

    def losses(self) -> LossReport:
        """Return what the kernel side could not deliver since ``open``."""
        if self._loaded is None:
            return LossReport()
        lost = {loss: self._loaded.per_cpu("losses", loss) for loss in Loss}
        if time.monotonic() >= self._count_misses_at:
            self._missed = self._misses(self._loaded)
            self._count_misses_at = time.monotonic() + _MISSES_EVERY_S
        missed = self._missed
        return LossReport(
            ring_events=sum(lost[Loss.EVENT_RING]),
            ring_events_per_cpu=tuple(lost[Loss.EVENT_RING]),
            ring_names=sum(lost[Loss.NAME_RING]),
            task_map_full=sum(lost[Loss.TASK_MAP]),
            births_lost=sum(lost[Loss.BIRTH]),
            stacks_lost=sum(lost[Loss.STACK]),
            probe_misses=None if missed is None else self._spoiling(missed),
            probe_misses_by=missed and {name: n for name, n in missed.items() if n},
        )

    def _misses(self, loaded: BpfObject) -> dict[str, int] | None:
        programs = recursion_misses(loaded.programs)
        events = self._kprobes.misses() if self._kprobes else None
        return None if programs is None and events is None else (programs or {}) | (events or {})

    def _spoiling(self, missed: dict[str, int]) -> int:
        # In the function tiers a missed one does no harm: a later system call ends the operation.
        harmless = {NEXT_SYSCALL} if self._placement else set()
        return sum(n for name, n in missed.items() if name not in harmless)

    def plan(self) -> list[PlanLine]:
        """Return what is probed, how, and the reason."""
        lines = self._chosen.lines()
        if self._walkers and self._adaptive:
            hot = {probe.meaning.name for probe in self._chosen.probes if probe.hot}
            watched = f"{self._walkers.times} times, {self._walkers.watched_s:.1f} s in all"
            reason = f"--probes adaptive: attached {watched}"
            lines = [replace(one, reason=reason) if one.meaning in hot else one for one in lines]
        if self._placement:
            lines += counting_lines(self._cpus, long_loops="UM_BPF_LOOP" in self._constants)
        return [*self._plan, *lines, *on_demand_lines(self._symbols.names)]

    def close(self) -> None:
        """Detach and free everything; may be called twice."""
        if self._rings is not None:
            self._rings.close()
            self._rings = None
        if self._open_tasks is not None:
            self._open_tasks.close()
            self._open_tasks = None
        if self._walk is not None:
            self._walk.close()
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None
        self._cleanup.close()


def _detach_probes(loaded: BpfObject, probes: Sequence[PlannedProbe]) -> None:
    for probe in probes:
        for on_return in probe.sides(entry_needed=False):
            loaded.detach(probe.program(on_return=on_return))
