"""The ftrace tier: no BPF, the same events."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.constants import layout_constants
from umtrace.kernel.stacks import FUNCTIONS
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.records.clock import ClockPair
from umtrace.records.errors import NotPermittedError, UmtraceError
from umtrace.records.events import EventBatch, Origin
from umtrace.records.losses import LossReport
from umtrace.sources.ftrace.drain import Drain
from umtrace.sources.ftrace.events import Event, events
from umtrace.sources.ftrace.formats import Format, parse_format
from umtrace.sources.ftrace.instance import Instance
from umtrace.sources.ftrace.lineage import EVENTS as BIRTHS
from umtrace.sources.ftrace.lineage import Lineage
from umtrace.sources.ftrace.records import Decoder
from umtrace.sources.ftrace.translate import Translator

_COUNT_S = 0.25  # how often the kernel's loss counters are read
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


class FtraceSource:
    """Dynamic events in a private trace instance, read as binary pages.

    Parameters
    ----------
    probes : str
        ``full``; ``light`` and ``adaptive`` without what a path walk would pay for.
    declined : sequence of mappings
        Lines of the plan for the tiers that were tried before this one.
    buffer_kb : int or None
        Buffer of each CPU; None chooses.
    """

    tier = "ftrace"

    def __init__(
        self,
        *,
        probes: str = "full",
        declined: Sequence[dict[str, str]] = (),
        buffer_kb: int | None = None,
    ) -> None:
        self.clock = ClockPair.now()
        self._walkers = probes == "full"
        self._plan = list(declined)
        self._buffer_kb = buffer_kb
        self._tracefs: Tracefs | None = None
        self._instance: Instance | None = None
        self._drain: Drain | None = None
        self._translator: Translator | None = None
        self._lost: list[int] = []
        self._misses: int | None = None
        self._counted = 0.0

    def open(self) -> None:
        """Make the instance and its events, and let them in.

        Raises
        ------
        NoTierError
            This kernel lacks what the tier needs.
        NotPermittedError
            The kernel refuses dynamic events, or to this user.
        """
        if os.geteuid() != 0:
            raise NotPermittedError("tracing needs root: run it with sudo")
        try:
            self._attach()
        except BaseException:
            self.close()
            raise
        self.clock = ClockPair.now()

    def _attach(self) -> None:
        layout = _layout()
        self._tracefs = Tracefs()
        self._instance = instance = Instance(self._tracefs, self._buffer_kb)
        buffer = f"{instance.buffer_kb} KiB for each of {len(instance.cpus)} CPUs"
        self._note("buffer", instance.path, "trace instance", f"{buffer}, clock mono")
        made = self._make(instance, events(layout, walkers=self._walkers))
        formats = [self._format(instance, f"{instance.group}/{name}", name) for name in made]
        for event in BIRTHS:
            if instance.enable(event):
                category, name = event.split(":")
                formats.append(self._format(instance, f"{category}/{name}", name))
        self._note("process and cgroup", ", ".join(BIRTHS), "tracepoint")
        lineage = Lineage()
        self._translator = Translator(
            lineage,
            _origins(Symbols.load()),
            shift=layout.get("UM_OFF_MOUNT_MNT", 0),
            watching="um_walk" in made,
        )
        page = _page_bytes(self._tracefs)
        self._drain = Drain(instance, Decoder(formats, page), page)
        instance.start()
        lineage.look()

    def _make(self, instance: Instance, wanted: Sequence[Event]) -> list[str]:
        """Make the events that this kernel takes; what is missing goes into the plan."""
        made: list[str] = []
        for event in wanted:
            side = f"{event.function}{' return' if event.on_return else ''}"
            if event.pair and event.pair not in made:
                continue
            try:
                instance.add(event)
            except UmtraceError as error:
                if event.required:
                    raise
                if not event.name.startswith("um_normal"):  # one of three is enough
                    self._note(event.meaning, side, "-", f"lost: {event.lost} ({error})")
            else:
                made.append(event.name)
                self._note(event.meaning, side, "kprobe event")
        return made

    @staticmethod
    def _format(instance: Instance, path: str, name: str) -> Format:
        return parse_format(name, instance.read(f"events/{path}/format"))

    def _note(self, meaning: str, probe: str, how: str, reason: str = "ok") -> None:
        self._plan.append({"meaning": meaning, "probe": probe, "how": how, "reason": reason})

    def read(self, timeout_s: float) -> EventBatch | None:
        """Wait up to ``timeout_s`` and translate what came; None once closed.

        What is younger than a few ms stays for the next call, since another CPU may still
        write something older; with 0 nothing stays.
        """
        if self._drain is None or self._translator is None:
            return None
        if timeout_s > 0 and not self._drain.busy:
            time.sleep(timeout_s)
        records = self._drain.read(everything=timeout_s <= 0)
        self._count(now=timeout_s <= 0)
        return self._translator.feed(records)

    def _count(self, *, now: bool) -> None:
        if self._instance is None or not (now or time.monotonic() - self._counted > _COUNT_S):
            return
        self._counted = time.monotonic()
        with suppress(OSError):
            self._lost = self._instance.lost()
        self._misses = self._instance.misses()

    def losses(self) -> LossReport:
        """Return what the kernel side could not deliver since ``open``."""
        return LossReport(
            ring_events=sum(self._lost),
            ring_events_per_cpu=tuple(self._lost),
            probe_misses=self._misses,
        )

    def plan(self) -> list[dict[str, str]]:
        """Return what is probed, how, and why so."""
        return list(self._plan)

    def close(self) -> None:
        """Remove the instance and its events; may be called twice."""
        if self._drain is not None:
            self._drain.close()
            self._drain = None
        if self._instance is not None:
            self._instance.close()
            self._instance = None
        if self._tracefs is not None:
            self._tracefs.close()
            self._tracefs = None


def _layout() -> dict[str, int]:
    try:
        with Btf() as btf:
            return layout_constants(btf)
    except BtfUnavailableError:
        return layout_constants(None)


def _page_bytes(tracefs: Tracefs) -> int:
    text = tracefs.read("events/header_page")
    data = next(line for line in text.splitlines() if "char data" in line)
    words = dict(part.strip().split(":") for part in data.split(";") if part.count(":") == 1)
    return int(words["offset"]) + int(words["size"])


def _origins(symbols: Symbols) -> Callable[[int], Origin]:
    """Return what tells the caller of umount_tree from its return address."""
    origin_of = {symbol: origin for name, origin in _ORIGINS.items() for symbol in FUNCTIONS[name]}

    def origin(address: int) -> Origin:
        return origin_of.get(symbols.name_at(address), Origin.OTHER)

    return origin
