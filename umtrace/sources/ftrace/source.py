"""The source of the ftrace tier, which has the same events without BPF."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.function_tracing import require_function_tracing
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.clock import monotonic_ns
from umtrace.model.errors import NoTierError, UmtraceError
from umtrace.model.events import EventBatch, Origin
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.model.tiers import tier_named
from umtrace.probes.capabilities import Capabilities, capabilities_of
from umtrace.probes.constants import layout_constants
from umtrace.probes.on_demand import on_demand_lines
from umtrace.probes.plan import NO_WALKS, Plan, make_plan
from umtrace.probes.purposes import SYSTEM_CALL
from umtrace.probes.stacks import FUNCTIONS
from umtrace.sources.ftrace.base import FtraceBase, page_bytes
from umtrace.sources.ftrace.drain import Drain
from umtrace.sources.ftrace.events import events
from umtrace.sources.ftrace.hit_count import HitCount
from umtrace.sources.ftrace.instance import Instance
from umtrace.sources.ftrace.placing import Placed, place
from umtrace.sources.ftrace.records import Decoder
from umtrace.sources.ftrace.task_tracker import EVENTS as BIRTHS
from umtrace.sources.ftrace.task_tracker import TaskTracker
from umtrace.sources.ftrace.tasks import tasks, tasks_lost
from umtrace.sources.ftrace.translate import Translator
from umtrace.sources.ftrace.unseen import unseen_of

_SETTLES_S = 0.01  # a wait, since the kernel counts a hit before it writes the record
_ORIGINS = {
    "UM_FN_PATH_UMOUNT": Origin.UMOUNT,
    "UM_FN_DETACH_MOUNTS": Origin.DETACH,
    "UM_FN_EXPIRY": Origin.EXPIRE,
    "UM_FN_DISSOLVE": Origin.FD_CLOSE,
    "UM_FN_PATH_MOUNT": Origin.FAILED_MOUNT,
    "UM_FN_COPY_TREE": Origin.FAILED_MOUNT,
    "UM_FN_ATTACH_RECURSIVE": Origin.FAILED_MOUNT,
    "UM_FN_PUT_NS": Origin.NS_EXIT,
    "UM_FN_DROP_COLLECTED": Origin.NS_EXIT,
}


class FtraceSource(FtraceBase):
    """Dynamic events in a private trace instance, read as binary pages.

    Parameters
    ----------
    probes : str
        ``full``; ``light`` and ``adaptive`` have no probes on path walks.
    declined : sequence of PlanLine
        Lines of the plan for the tiers that were tried before this one.
    buffer_kb : int or None
        Buffer of each CPU; None chooses.
    """

    tier = "ftrace"

    def __init__(
        self,
        *,
        probes: str = "full",
        declined: Sequence[PlanLine] = (),
        buffer_kb: int | None = None,
    ) -> None:
        super().__init__(declined)
        self._walkers = probes == "full"
        self._buffer_kb = buffer_kb
        self._translator: Translator | None = None
        self._lineage = TaskTracker()
        self._decoder: Decoder | None = None
        self._tally: HitCount | None = None

    def _attach(self, tracefs: Tracefs) -> None:
        require_function_tracing(tier_named(self.tier).placement)
        symbols = Symbols.load()
        layout, offer = _kernel(symbols)
        # A kprobe event can probe what a kprobe can, so the plan of that tier is used.
        placement = tier_named(self.tier).placement
        plan = make_plan(offer, placement, "full" if self._walkers else NO_WALKS)
        if plan.impossible:
            raise NoTierError(plan.impossible)
        instance = self._instance(tracefs, self._buffer_kb)
        wanted = events(layout, walkers=self._walkers)
        made = self._make(instance, place(wanted, plan, symbols))
        self._unseen(plan, {event.function for event in wanted})
        self._plan += on_demand_lines(symbols.names)
        formats = [self._format(instance, f"{instance.group}:{name}") for name in made]
        formats += self._lives(instance, BIRTHS, tasks_lost())
        self._lineage = lineage = TaskTracker(partial(tasks, names=False), without=self._untraced)
        self._translator = Translator(
            lineage,
            _origins(symbols),
            shift=layout.get("UM_OFF_MOUNT_MNT", 0),
            watching="um_walk" in made,
            unseen=unseen_of(made),
        )
        size = page_bytes(tracefs)
        self._decoder = Decoder(formats, size)
        self._drain = Drain(instance, self._decoder, size)
        instance.start()
        whole = [event.name for event in wanted if event.name in made and not event.filter]
        self._tally = HitCount(instance, whole)
        lineage.read_tasks()

    def _make(self, instance: Instance, placed: Iterable[Placed]) -> list[str]:
        """Make the events that this kernel accepts; those that are missing go into the plan."""
        made: list[str] = []
        for one in placed:
            event = one.event
            side = f"{event.symbol or event.function}{' return' if event.on_return else ''}"
            if event.pair and event.pair not in made:
                continue
            try:
                if one.objection:
                    raise NoTierError(one.objection)
                instance.add(event)
            except UmtraceError as error:
                if event.required:
                    raise
                if not event.name.startswith("um_normal"):  # of these, one of three is enough
                    lost = one.lost or f"{event.lost} ({error})"
                    self._note(event.meaning, side, "-", lost=lost)
            else:
                made.append(event.name)
                self._note(event.meaning, side, "kprobe event")
        return made

    def _unseen(self, plan: Plan, functions: Collection[str]) -> None:
        """Add to the plan what the BPF tiers probe and this tier has no event for."""
        for choice in plan.choices:
            meaning = choice.meaning
            if meaning is SYSTEM_CALL or any(c.function in functions for c in meaning.candidates):
                continue
            lost = choice.reason if choice.lost else f"{meaning.lost} (no event of this tier)"
            self._note(meaning.name, meaning.function, "-", lost=lost)

    def read(self, timeout_s: float) -> EventBatch | None:
        """Wait up to ``timeout_s`` and translate what came; None once closed.

        Records younger than 50 ms are left for the next call, since another CPU may still write
        an older one. With ``timeout_s`` 0 all are returned.
        """
        if self._drain is None or self._translator is None:
            return None
        if timeout_s > 0 and not self._drain.busy:
            time.sleep(timeout_s)
        due = self._tally is not None and self._is_due(now=timeout_s <= 0)
        if self._tally and due:
            self._tally.read_profile()
            time.sleep(_SETTLES_S if timeout_s <= 0 else 0)
        records = self._drain.read(everything=timeout_s <= 0)
        if self._tally and self._decoder and due:
            self._count()
            self._misses = self._tally.missing(self._decoder.counts, sum(self._lost))
            if self._was_blind():
                self._translator.lose(monotonic_ns())
        batch = self._translator.feed(records)
        self._lineage.refresh()
        return batch

    def losses(self) -> LossReport:
        """Return what the kernel could not deliver, and the operations that were not followed."""
        not_followed = self._translator.not_followed if self._translator else None
        return replace(super().losses(), task_map_full=not_followed)


def _kernel(symbols: Symbols) -> tuple[dict[str, int], Capabilities]:
    """Return the struct offsets of this kernel and what it offers to probe."""
    release = os.uname().release
    try:
        with Btf() as btf:
            return layout_constants(btf), capabilities_of(symbols, btf, release=release)
    except BtfUnavailableError as error:
        without = capabilities_of(symbols, None, btf_missing=str(error), release=release)
        return layout_constants(None), without


def _origins(symbols: Symbols) -> Callable[[int], Origin | None]:
    """Return the function that gives the caller of umount_tree for a return address."""
    origin_of = {symbol: origin for name, origin in _ORIGINS.items() for symbol in FUNCTIONS[name]}

    def origin(address: int) -> Origin | None:
        name = symbols.name_at(address)
        return None if name == "?" else origin_of.get(name, Origin.OTHER)

    return origin
