"""Superblocks that live on after an umount, through other mounts: one window for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from umtrace.ebusy.attempts import Attempt
from umtrace.model.evidence import Superblock
from umtrace.model.holders import Holder, HolderScan
from umtrace.model.windows import EbusyWindow

_MOST = 4096
_MOST_DEATHS = 256
_MOST_NAMED = 4


@dataclass(slots=True)
class _Alive:
    first: Attempt
    superblock: Superblock
    umounts: int = 1
    cost_ns: int = 0


class SharedSuperblocks:
    """Opens a window at the first umount that leaves a superblock alive, until it dies.

    A host that unmounts a thousand bind mounts of one file system has one window.

    Attributes
    ----------
    forgotten : int
        Superblocks and deaths of superblocks that were dropped while they might be needed.
    """

    def __init__(self, offset_ns: int) -> None:
        self._offset = offset_ns
        self._alive: dict[str, _Alive] = {}
        # Rows come later than the events in them, and a device number is soon used again.
        self._dead: dict[str, deque[Superblock]] = {}
        self.forgotten = 0

    def left_alive(self, attempt: Attempt, superblock: Superblock) -> list[EbusyWindow]:
        """Note an umount; return a window if it is over, or if too many are open."""
        deaths = self._dead.get(superblock.dev, ())
        death = next((d for d in deaths if d.ts_ns > superblock.ts_ns), None)
        if death is not None:
            over = self._alive.pop(superblock.dev, None) or _Alive(attempt, superblock)
            return [_window(over, death.ts_ns + self._offset)]
        known = self._alive.get(superblock.dev)
        if known is None:
            known = self._alive[superblock.dev] = _Alive(attempt, superblock)
        else:
            known.umounts += 1
        known.cost_ns += attempt.latency_ns or 0
        if len(self._alive) <= _MOST:
            return []
        self.forgotten += 1
        return [_window(self._alive.pop(next(iter(self._alive))), None)]

    def died(self, superblock: Superblock) -> list[EbusyWindow]:
        """Return the window of a superblock that loses its last reference."""
        deaths = self._dead.setdefault(superblock.dev, deque(maxlen=_MOST_DEATHS))
        self.forgotten += len(deaths) == _MOST_DEATHS
        deaths.append(superblock)
        if len(self._dead) > _MOST:
            self.forgotten += len(self._dead.pop(next(iter(self._dead))))
        known = self._alive.pop(superblock.dev, None)
        return [_window(known, superblock.ts_ns + self._offset)] if known else []

    def finish(self, scans: Mapping[int, HolderScan]) -> list[EbusyWindow]:
        """Return the windows of superblocks that live on, with their holders if there is a scan."""
        rest, self._alive = self._alive, {}
        windows = [_window(known, None) for known in rest.values()]
        return [with_survivors(window, scans.get(window.umount_id or 0)) for window in windows]


def lives_on(window: EbusyWindow) -> bool:
    """Whether the window is of a superblock that was alive when the recording ended."""
    return window.klass == "shared-sb" and window.end_ns is None


def with_survivors(window: EbusyWindow, scan: HolderScan | None) -> EbusyWindow:
    """Return the window of a superblock that lives on, with the mounts of it that were found."""
    if scan is None or not scan.holders:
        return window
    facts = [f"at the end, {_where(holder)}" for holder in scan.holders[:_MOST_NAMED]]
    more = len(scan.holders) - len(facts)
    facts += [f"and {more} more"] if more else []
    return replace(window, holders=scan.holders, evidence=(*window.evidence, *facts))


def _where(holder: Holder) -> str:
    kept = f", kept by {holder.keeper}" if holder.keeper else ""
    return f"{holder.kind} {holder.detail} was in mount namespace {holder.mntns}{kept}"


def _in(namespace: int, known: _Alive) -> Holder:
    """Return as a holder the mounts of a mount namespace, the paths of which are unknown."""
    path = f", unmounted as {known.first.path}" if known.first.path else ""
    note = f"a mount of {known.superblock.dev}{path}"
    return Holder(kind="mount", of="superblock", mntns=namespace, match="dev", note=note)


def _window(known: _Alive, end_ns: int | None) -> EbusyWindow:
    first, superblock = known.first, known.superblock
    where = ", ".join(str(ns) for ns in superblock.mntns)
    left = superblock.active - 1
    facts = [f"after the umount, the superblock of {superblock.dev} had {left} other references"]
    if where:
        facts.append(f"its other mounts are in mount namespaces: {where}")
    if known.umounts > 1:
        facts.append(f"{known.umounts} umounts did not end it")
    facts.append("it is still in use" if end_ns is None else "then its last mount was unmounted")
    return EbusyWindow(
        klass="shared-sb",
        spurious=False,
        begin_ns=first.end_ns,
        end_ns=None if end_ns is None else max(end_ns, first.end_ns),
        path=first.path,
        dev=superblock.dev,
        umount_id=first.id,
        holders=tuple(_in(namespace, known) for namespace in superblock.mntns),
        evidence=tuple(facts),
        attempts=known.umounts,
        cost_ns=known.cost_ns,
        pid=first.pid,
        comm=first.comm,
        container=first.container,
        mntns=first.mntns,
        tier=first.tier,
    )
