"""Finds the tasks that hang in an umount right now."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from umtrace.holders import blocks, procfs
from umtrace.stuck import stacks
from umtrace.stuck.answer import Cause, Stuck, StuckAnswer
from umtrace.stuck.asleep import LastRuns
from umtrace.stuck.causes import Surroundings
from umtrace.stuck.sample import Sample, container_of, path_of, samples, stacks_hidden

_BUDGET_S = 5.0  #: of the read of all tasks, and of those that watch some of them
_ROUNDS = 5
#: a task that runs meanwhile is in one long umount only where loops of umounts seldom are
_LONG = {stacks.SHUTDOWN, stacks.LOOKUP, stacks.TREE}
#: more than these are not examined one by one
_MOST = 64


class StuckQuery:
    """Samples all tasks, then those inside an umount again for ``watch_s`` seconds.

    A task hangs if it is in the same place in each sample.
    """

    def __init__(self, watch_s: float = 0.5) -> None:
        self._watch_s = watch_s
        self._lost: list[str] = []
        self._all: dict[int, Sample] = {}  #: the latest sample of each task, by its id
        self._holders: dict[int, Sample] = {}

    def answer(self) -> StuckAnswer:
        """Look, watch, and look for causes."""
        hidden = stacks_hidden()
        pids = [pid for pid in procfs.pids() if pid != os.getpid()]
        first = self._sampled(pids, time.monotonic() + _BUDGET_S)
        if hidden is None and (
            n := sum(s.state == "D" and not s.names for s in self._all.values())
        ):
            self._lost.append(f"kernel stacks of {n} waiting tasks")
        watched = self._watched(first, set(pids)) if first else {}
        found = self._behind(list(watched.values()))
        moves = {tid: first[tid].ran != sample.ran for tid, sample in watched.items()}
        return StuckAnswer(
            tasks=tuple(self._explained(found, moves)),
            blind=tuple(dict.fromkeys(self._lost)),
            hidden=hidden,
            n_processes=len(pids),
            watched_ns=self._watch_ns if first else 0,
        )

    def _sampled(
        self, pids: Sequence[int], until: float, *, beside: bool = False
    ) -> dict[int, Sample]:
        taken = {s.tid: s for s in samples(pids, self._lost, until, beside=beside)}
        self._all.update(taken)
        for sample in taken.values():
            if not _waits_for_lock(sample) and stacks.holding_function(sample.names):
                self._holders[sample.tid] = sample
        return {tid: sample for tid, sample in taken.items() if sample.stand is not None}

    def _watched(self, first: dict[int, Sample], seen: set[int]) -> dict[int, Sample]:
        """Return the last samples of the tasks that stay where they are."""
        left, begun = dict(first), time.monotonic()
        until = begun + self._watch_s + _BUDGET_S
        for number in range(1, _ROUNDS + 1):
            time.sleep(max(begun + self._watch_s * number / _ROUNDS - time.monotonic(), 0))
            taken = self._sampled(sorted({s.pid for s in left.values()}), until)
            left = {t: taken[t] for t, s in left.items() if t in taken and _same(s, taken[t])}
            left = {t: s for t, s in left.items() if _stays(first[t], s)}
            if any(_waits_for_lock(s) for s in left.values()):
                self._seek_holder(seen, until)
            if not left:
                break
        return left

    def _seek_holder(self, seen: set[int], until: float) -> None:
        """Sample the tasks that may hold the namespace lock: they ran, or did not sleep idly.

        Of 10,000 processes these are few. New ones are among them.
        """
        busy = {s.pid for s in self._all.values() if not _waits_for_lock(s)}
        new = {*procfs.pids()} - seen - {os.getpid()}
        seen |= new
        self._sampled(sorted(busy | new), until, beside=not self._holders)

    def _behind(self, found: list[Sample]) -> list[Sample]:
        """Leave out who waits for a superblock that nobody here shuts down."""
        ending = any(s.stand and s.stand.phase == stacks.SHUTDOWN for s in found)
        return [s for s in found if ending or not (s.stand and s.stand.phase == stacks.SUPERBLOCK)]

    def _explained(self, found: list[Sample], moves: dict[int, bool]) -> Iterable[Stuck]:
        if not found:
            return
        locked = any(map(_waits_for_lock, found))
        around = Surroundings(tuple(self._all.values()), mounts=not locked)
        runs = LastRuns(s.cpu for s in found)
        ending = [s.tid for s in found if s.stand and s.stand.phase == stacks.SHUTDOWN]
        for number, sample in enumerate(found):
            if sample.stand is not None:
                asleep_ns = runs.asleep_ns(sample.pid, sample.tid, sample.cpu)
                yield self._stuck(
                    sample,
                    asleep_ns=max(asleep_ns or 0, 0 if moves[sample.tid] else self._watch_ns),
                    moves=moves[sample.tid],
                    around=around if number < _MOST else None,
                    ending=ending,
                )

    @property
    def _watch_ns(self) -> int:
        return int(self._watch_s * 1e9)

    def _stuck(
        self,
        sample: Sample,
        *,
        asleep_ns: int,
        moves: bool,
        around: Surroundings | None,
        ending: Sequence[int],
    ) -> Stuck:
        assert sample.stand is not None  # noqa: S101
        stand = sample.stand
        behind: tuple[int, ...] = ()
        path = path_of(sample) if around and sample.names else None
        devs: list[str] = []
        if (
            around
            and stand.phase == stacks.SHUTDOWN
            and not (stand.fstype or "").startswith("fuse")
        ):
            devs = around.likely(stand.wait, around.devices(stand.fstype))
        cause = around.cause(sample, path, devs) if around else None
        if stand.wait == "namespace-lock":
            cause, behind = self._lock_holder()
        elif stand.wait == "superblock-lock":
            behind = tuple(tid for tid in ending if tid != sample.tid)
        mount = around.mount_of(path) if around and stand.phase == stacks.LOOKUP else None
        return Stuck(
            pid=sample.pid,
            tid=sample.tid,
            comm=sample.comm,
            state=sample.state,
            phase=stand.phase,
            wait=stand.wait,
            begun=stand.phase != stacks.LOOKUP or not sample.words or sample.in_umount,
            function=sample.names[0] if sample.names else None,
            asleep_ns=asleep_ns or None,
            age_ns=sample.age_ns,
            moves=moves,
            worker=stand.worker,
            path=path,
            fstype=stand.fstype or (mount.fstype if mount else None),
            device=", ".join(map(blocks.node, devs)) or None,
            container=container_of(sample.pid) if around else None,
            behind=behind,
            cause=cause,
        )

    def _lock_holder(self) -> tuple[Cause, tuple[int, ...]]:
        who = [f"{s.comm} (pid {s.pid})" for s in self._holders.values()]
        if not who:
            return Cause(text="the namespace lock; its holder was not seen"), ()
        text = f"the namespace lock, held by {' or '.join(who[:3])}"
        if len(who) == 1:
            (holder,) = self._holders.values()
            call = stacks.system_call(holder.names)
            text += f" in {call}(2)" if call else ""
            text += f" ({stacks.holding_function(holder.names)})"
        return Cause(text=text), tuple(self._holders)


def _waits_for_lock(sample: Sample) -> bool:
    return sample.stand is not None and sample.stand.phase == stacks.LOCK


def _same(before: Sample, now: Sample) -> bool:
    """Whether a task is in the same place of the same call."""
    if before.started != now.started or before.stand is None or now.stand is None:
        return False
    same_call = before.words == now.words or not before.words or not now.words
    return same_call and before.stand.phase == now.stand.phase


def _stays(first: Sample, now: Sample) -> bool:
    """Whether it has not run since the first sample, or is in a phase that may take long."""
    phase = now.stand.phase if now.stand else ""
    return (bool(now.ran) and first.ran == now.ran) or phase in _LONG
