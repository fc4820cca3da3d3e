"""The source of the ftrace-static tier, for kernels that refuse dynamic events: tracepoints."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial

from umtrace.kernel.refusals import addresses_hidden
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.clock import monotonic_ns
from umtrace.model.errors import NoTierError
from umtrace.model.events import EventBatch
from umtrace.model.plan_line import PlanLine
from umtrace.probes.capabilities import WANTED
from umtrace.probes.frames import FrameTable
from umtrace.sources.base import UNSEEN_32, UNSEEN_NAMESPACES, UNSEEN_OTHERS, UNSEEN_SLEEPLESS
from umtrace.sources.ftrace.base import FtraceBase, page_bytes
from umtrace.sources.ftrace.drain import Drain
from umtrace.sources.ftrace.event_gate import ENTER, EXIT, NEXT, SWITCH, Gate
from umtrace.sources.ftrace.formats import Format
from umtrace.sources.ftrace.instance import Instance
from umtrace.sources.ftrace.records import STACK, Decoder
from umtrace.sources.ftrace.static import StaticTranslator
from umtrace.sources.ftrace.task_tracker import EVENTS as BIRTHS
from umtrace.sources.ftrace.task_tracker import NAMING, TaskTracker
from umtrace.sources.ftrace.tasks import numbers_are_ours, tasks, tasks_lost

#: kernel workers are left out: they never call umount(2), and often wait for devices
_STACKS = 'stacktrace if prev_state == 2 && !(prev_comm ~ "kworker*")'
_DEATHS = "prev_state == 16 || prev_state == 32"


class StaticSource(FtraceBase):
    """Two instances: one for umounts, stacks of waits, births and deaths, and a gated one.

    Parameters
    ----------
    declined : sequence of PlanLine
        Lines of the plan for the tiers that were tried before this one.
    buffer_kb : int or None
        Buffer of each CPU in each of the instances; None chooses.
    """

    tier = "ftrace-static"

    def __init__(self, *, declined: Sequence[PlanLine] = (), buffer_kb: int | None = None) -> None:
        super().__init__(declined)
        self._buffer_kb = buffer_kb
        self._translator: StaticTranslator | None = None
        self._lineage = TaskTracker()
        self._gate: Gate | None = None

    def _attach(self, tracefs: Tracefs) -> None:
        first, gated = (self._instance(tracefs, self._buffer_kb, of=2) for _ in range(2))
        size, frames = page_bytes(tracefs), FrameTable(Symbols.load(wanted=WANTED))
        formats = self._umounts(first)
        formats += self._sleeps(first, frames)
        formats += self._lives(first, (*BIRTHS, NAMING), tasks_lost())
        # The recorder's own system calls are left out, since they would fill the buffer it reads.
        if numbers_are_ours():
            gated.keep(NEXT, f"common_pid != {os.getpid()}")
        self._gate = self._make_gate(gated)
        let_in = [
            self._format(gated, event)
            for event in (SWITCH, NEXT)
            if not self._unusable(gated, event)
        ]
        self._drain = Drain(
            first, Decoder(formats, size, frames), size, gated=(gated, Decoder(let_in, size))
        )
        self._lineage = lineage = TaskTracker(partial(tasks, names=True), without=self._untraced)
        self._translator = StaticTranslator(lineage)
        gated.start()
        first.start()
        lineage.read_tasks()

    def _umounts(self, first: Instance) -> list[Format]:
        if not all(first.has(event) for event in (ENTER, EXIT)):
            raise NoTierError(f"this kernel has no tracepoint {ENTER}")
        formats = [self._format(first, event) for event in (ENTER, EXIT)]
        first.take_long_texts()
        for event in (EXIT, ENTER):
            if not first.enable(event):
                raise NoTierError(f"tracefs refuses to switch {event} on")
        has_text = any("__name_val" in (form.dtype.names or ()) for form in formats)
        lost = "" if has_text else "path (the event has a pointer only; the text since 7.0)"
        self._note("operation", f"{ENTER}, sys_exit_umount", "tracepoint", lost=lost)
        self._plan += [UNSEEN_32, UNSEEN_SLEEPLESS, UNSEEN_NAMESPACES, UNSEEN_OTHERS]
        return formats

    def _sleeps(self, first: Instance, frames: FrameTable) -> list[Format]:
        """Let the kernel write a stack where a task goes to sleep, and a record where one dies."""
        probe, how = f"{SWITCH}, stacktrace trigger", "tracepoint"
        if not frames.known:
            self._note("waits", probe, "-", lost=f"waits, ns-exit ({addresses_hidden()})")
            return []
        why = self._unusable(first, SWITCH) or self._unusable(first, f"ftrace:{STACK}")
        if why:
            self._note("waits", probe, "-", lost=f"waits, ns-exit ({why})")
            return []
        if not first.trigger(SWITCH, _STACKS):
            self._note("waits", probe, "-", lost="waits, ns-exit (no stacktrace trigger here)")
            return []
        first.keep(SWITCH, _DEATHS)
        first.enable(SWITCH)
        self._note("waits", probe, how)
        return [self._format(first, SWITCH), self._format(first, f"ftrace:{STACK}")]

    def _make_gate(self, gated: Instance) -> Gate:
        gate = Gate(gated)
        opens = "tracepoint, during umounts only"
        for ok, meaning, event, what in (
            (gate.waits, "end of waits", SWITCH, "rcu_ns, lock_ns"),
            (gate.ends, "return to user mode", NEXT, "latency_ns"),
        ):
            why = self._unusable(gated, event)
            why = why or ("" if ok else "this kernel cannot switch an event on at an event")
            lost = f"{what} ({why})" if why else ""
            self._note(meaning, event, "-" if why else opens, lost=lost)
        lost = "fstype, dev, mntns, n_mounts (no event can read memory here)"
        self._note("mount", "-", "-", lost=lost)
        return gate

    def read(self, timeout_s: float) -> EventBatch | None:
        """Wait up to ``timeout_s`` and translate what came; None once closed.

        Records younger than 50 ms are left for the next call. With ``timeout_s`` 0 all are
        returned.
        """
        if self._drain is None or self._translator is None or self._gate is None:
            return None
        if timeout_s > 0 and not self._drain.busy:
            time.sleep(timeout_s)
        translator = self._translator
        before = monotonic_ns()
        following = translator.following
        records = self._drain.read(everything=timeout_s <= 0, following=following)
        batch = translator.feed(records)
        seen, translator.opened = translator.opened, False
        if self._gate.update(seen=seen, busy=translator.busy or self._drain.pending):
            translator.shut_ns = before, self._gate.closed_ns
        if self._is_due(now=timeout_s <= 0):
            self._count()
            if self._was_blind():
                translator.lose(monotonic_ns())
        self._lineage.refresh()
        return batch
