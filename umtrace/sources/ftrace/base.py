"""What the two ftrace sources share: the instances, the drain, the losses, and the clean-up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest

from umtrace.kernel.event_fields import objection
from umtrace.kernel.refusals import require_root
from umtrace.kernel.tracefs import Tracefs, no_tracepoint
from umtrace.model.clock import ClockPair
from umtrace.model.errors import NoTierError
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import BUFFER, PlanLine, State
from umtrace.sources.ftrace.drain import Drain
from umtrace.sources.ftrace.formats import Format, parse_format
from umtrace.sources.ftrace.instance import Instance
from umtrace.sources.ftrace.task_tracker import LOST_WITHOUT
from umtrace.sources.ftrace.unseen import NOT_SENT
from umtrace.sources.tracefs_guard import TracefsLock

_COUNT_S = 0.25  # how often the kernel's loss counters are read


class FtraceBase:
    """Opens and closes; ``_attach`` of the subclass makes the instances and the drain.

    Parameters
    ----------
    declined : sequence of PlanLine
        Lines of the plan for the tiers that were tried before this one.
    """

    def __init__(self, declined: Sequence[PlanLine]) -> None:
        self.clock = ClockPair.now()
        self._plan = list(declined)
        for kind, lost in NOT_SENT.items():
            if lost:
                self._note(kind.name.lower().replace("_", "-"), "-", "-", lost=lost)
        self._tracefs: Tracefs | None = None
        self._owner: TracefsLock | None = None
        self._instances: list[Instance] = []
        self._drain: Drain | None = None
        self._lost: list[int] = []
        self._untraced: set[str] = set()  # events about tasks that this kernel does not have
        self._misses: dict[str, int] | None = None  # by event, or by another name
        self._switched_off: Counter[str] = Counter()
        self._counted = 0.0

    def open(self) -> None:
        """Make the instance and its events, and start to record.

        Raises
        ------
        NoTierError
            This kernel lacks what the tier needs.
        NotPermittedError
            The kernel refuses the events, to all or to this user.
        """
        require_root()
        try:
            self._tracefs = Tracefs()
            self._owner = TracefsLock(self._tracefs)
            self._owner.watch()
            self._attach(self._tracefs)
        except BaseException:
            self.close()
            raise
        self.clock = ClockPair.now()

    def _attach(self, tracefs: Tracefs) -> None:
        raise NotImplementedError

    def _instance(self, tracefs: Tracefs, buffer_kb: int | None, *, of: int = 1) -> Instance:
        """Make the first instance, or the second one, which is gated."""
        if self._owner is None:
            raise RuntimeError("an instance is made while the source opens")
        gated = bool(self._instances)
        instance = Instance(tracefs, self._owner, buffer_kb, gated=gated, of=of)
        self._instances.append(instance)
        buffer = f"{instance.buffer_kb} KiB for each of {len(instance.cpus)} CPUs"
        meaning = BUFFER
        if of > 1:
            meaning += " of their ends" if gated else " of umounts"
        self._note(meaning, instance.path, f"trace instance, {buffer}, clock mono")
        return instance

    def _lives(self, instance: Instance, events: Sequence[str], lost: str) -> list[Format]:
        """Switch on the events about tasks; those that are missing go into the plan."""
        formats = []
        for event in events:
            why = self._unusable(instance, event)
            if not why and not instance.enable(event):
                why = f"tracefs refuses to switch {event} on"
            if why:
                self._untraced.add(event.partition(":")[2])
                self._note("tasks", event, "-", lost=f"{LOST_WITHOUT[event]} ({why})")
            else:
                formats.append(self._format(instance, event))
        self._note("tasks", ", ".join(events), "tracepoint", lost=lost)
        return formats

    @staticmethod
    def _format(instance: Instance, event: str) -> Format:
        """Return the layout of an event's records.

        Raises
        ------
        NoTierError
            There is none, or it lacks a field that is needed.
        """
        group, name = event.split(":")
        try:
            form = parse_format(name, instance.read(f"events/{group}/{name}/format"))
        except OSError as error:
            raise no_tracepoint(event, error) from None
        except ValueError as error:
            raise NoTierError(str(error)) from None
        if why := objection(event, form.dtype.names or ()):
            raise NoTierError(why)
        return form

    def _unusable(self, instance: Instance, event: str) -> str:
        """Return why an event cannot be used on this kernel; empty if it can."""
        try:
            self._format(instance, event)
        except NoTierError as error:
            return str(error)
        return ""

    def _note(self, meaning: str, probe: str, how: str, *, lost: str = "") -> None:
        state: State = "lost" if lost else "ok"
        line = PlanLine(meaning=meaning, probe=probe, how=how, state=state, reason=lost)
        self._plan.append(line)

    def _is_due(self, *, now: bool) -> bool:
        """Whether to read the kernel's counters: now, or a while after the last time."""
        due = now or time.monotonic() - self._counted > _COUNT_S
        self._counted = time.monotonic() if due else self._counted
        return due

    def _count(self) -> None:
        with suppress(OSError):
            counts = [instance.lost() for instance in self._instances]
            self._lost = [sum(cpu) for cpu in zip_longest(*counts, fillvalue=0)]

    def _was_blind(self) -> bool:
        """Whether anything was switched off; it is switched on again and counted."""
        off = [what for instance in self._instances for what in instance.switch_on_again()]
        self._switched_off.update(f"{what} (switched off by another program)" for what in off)
        return bool(off)

    def fill(self) -> float | None:
        """Return None: the kernel counts the pages of a buffer in text, one file for each CPU."""
        return None

    def open_tasks(self) -> None:
        """Return None: the kernel keeps no entry for an operation, only the events say it."""

    def follow_command(self) -> None:
        """Return None: tasks are not followed for this."""

    def bell(self) -> None:
        """Return None: no probe wakes the reader."""

    def task_walk(self) -> None:
        """Return None: no program runs in the kernel."""

    def losses(self) -> LossReport:
        """Return what the kernel side could not deliver since ``open``.

        What another program switched off counts as one miss each time that it is found so, since
        the number of hits in the meantime is unknown.
        """
        misses = {**(self._misses or {}), **self._switched_off}
        unknown = self._misses is None and not misses
        return LossReport(
            ring_events=sum(self._lost),
            ring_events_per_cpu=tuple(self._lost),
            probe_misses=None if unknown else sum(misses.values()),
            probe_misses_by=misses or None,
        )

    def plan(self) -> list[PlanLine]:
        """Return what is probed, how, and the reason."""
        return list(self._plan)

    def close(self) -> None:
        """Remove the instances and their events; may be called twice."""
        if self._drain is not None:
            self._drain.close()
            self._drain = None
        while self._instances:
            self._instances.pop().close()
        if self._owner is not None:
            self._owner.close()
            self._owner = None
        if self._tracefs is not None:
            self._tracefs.close()
            self._tracefs = None


def page_bytes(tracefs: Tracefs) -> int:
    """Return the size of a page of the ring buffer."""
    text = tracefs.read("events/header_page")
    data = next(line for line in text.splitlines() if "char data" in line)
    words = dict(part.strip().split(":") for part in data.split(";") if part.count(":") == 1)
    return int(words["offset"]) + int(words["size"])
