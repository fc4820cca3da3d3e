"""The scan of a recording: one pass over /proc for all requested mounts, and samples."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from umtrace.holders import procfs
from umtrace.holders.asker import children
from umtrace.holders.claimed import claimed
from umtrace.holders.kernelrefs import kernel_files, swap_is_on
from umtrace.holders.likely import likely
from umtrace.holders.match import Matcher
from umtrace.holders.mounts import MountTable
from umtrace.holders.procfs import Open
from umtrace.holders.quick import QuickSweep
from umtrace.holders.sampling import resample_apart
from umtrace.holders.sharing import references
from umtrace.holders.target import Target, find_target
from umtrace.model.holders import Holder, HolderScan, ScanRequest

Walk = Callable[[Collection[int]], Sequence[int]]

BUDGET_S = 0.05  #: of CPU time
END_S = 0.5  #: on a loaded host the same work takes longer
_LEAST_S = 0.1  #: for what takes long, while another EBUSY waits and nobody was found
_MOST_HOLDERS = 32


@dataclass(frozen=True, slots=True)
class _Found:
    target: Target
    holder: Holder
    opened: Open | None


class Scan:
    """The scan for some requests, in two steps, which may be taken by two threads.

    `look` reads and samples what processes have open, which is quick. `finish` does all else.

    Parameters
    ----------
    clock : callable
        Wall clock in ns, the same as that of the rows.
    budget_s : float
        CPU time in seconds, of each of the two processes that read. Each step ends after END_S.
    before : iterable of int
        Processes to begin with.
    walk : callable, optional
        Returns the processes to begin with before those: from ids of mounts to the processes that
        have something open there. A process that it leaves out is read later.
    """

    def __init__(
        self,
        requests: Sequence[ScanRequest],
        *,
        clock: Callable[[], int] = time.time_ns,
        budget_s: float = BUDGET_S,
        before: Iterable[int] = (),
        walk: Walk | None = None,
    ) -> None:
        self._clock, self._begin = clock, clock()
        own = procfs.mntns("self")
        self._table = MountTable.of()
        self._targets = [find_target(request, self._table, own) for request in requests]
        self._present = [target for target in self._targets if _is_read_for(target)]
        named = walk(_mount_ids(self._present)) if walk and self._present else ()
        first = likely(requests, before, self._table) if self._present else ()
        devs = {target.mount.dev for target in self._present if target.mount}
        elsewhere = any(target.mount is None for target in self._present)  # its dev is not known
        self._end_s = END_S if budget_s else 0.0
        self._sweep = QuickSweep(
            budget_s,
            time.monotonic() + self._end_s,
            prefixes=[target.point for target in self._present],
            devs=() if elsewhere else tuple(devs),
            likely=first,
            named=named,
        )
        self._matcher = Matcher(self._present, own)
        self._found: list[_Found] = []
        self._sampled_ns: tuple[int, ...] = ()
        self._readers = {os.getpid()}

    def look(self) -> None:
        """Read and sample what processes have open, first those that the kernel named."""
        if self._present:
            self._sample(self._matched(self._sweep.walked()))
            self._sample(self._matched(self._sweep.opened()))
        self._found += [f for target in self._present for f in _mounts_on(target)]
        self._readers |= children()

    def _sample(self, found: list[_Found]) -> None:
        if not found:
            return
        before, begin = _references(found), self._clock()
        found = _sampled(found, self._clock)
        # References that are counted must have been there at the same time.
        self._found = [replace(f, holder=replace(f.holder, ref=None)) for f in self._found]
        self._sampled_ns = (begin, self._clock())
        # Where a descriptor was replaced meanwhile, both may be references that came later.
        self._found += _with_references(found, before, _references(found))

    def finish(self, hurry: Callable[[], bool] = lambda: False) -> list[HolderScan]:
        """Read all else; return one scan per request.

        ``hurry`` says that others wait. Then what takes longest ends, if somebody was found.
        """
        busy = [target for target in self._present if not target.request.over]
        if busy:
            self._found += _kernel(self._present)
            now = time.monotonic()
            soon = now + (_LEAST_S if self._lacks_holder(busy) else 0.0)
            self._sweep.go_on(now + self._end_s, lambda: time.monotonic() >= soon and hurry())
            self._found += _sampled(self._matched(self._sweep.rest()), self._clock)
        if self._lacks_holder(busy):
            claims = claimed(self._present, self._table, self._sweep)
            self._found += [_Found(target, holder, None) for target, holder in claims]
        self._readers |= children()
        end = self._clock()
        scans = [_answer(t, self._found, self._sweep, self._begin, end) for t in self._targets]
        # In another pid namespace the probes know them by other numbers.
        readers = () if procfs.unseen_processes() else tuple(sorted(self._readers))
        return [
            replace(each, sampled_ns=self._sampled_ns, readers=readers) if each.mounted else each
            for each in scans
        ]

    def _matched(self, opened: Iterable[Open]) -> list[_Found]:
        pairs = ((one, self._matcher.holders(one)) for one in opened)
        return [_Found(t, holder, one) for one, found in pairs for t, holder in found]

    def _lacks_holder(self, targets: Sequence[Target]) -> bool:
        """Whether no lasting holder was found of one of the mounts."""
        held = {id(f.target) for f in self._found if f.holder.stays}
        return any(id(target) not in held for target in targets)


def scan(
    requests: Sequence[ScanRequest],
    *,
    clock: Callable[[], int] = time.time_ns,
    budget_s: float = BUDGET_S,
) -> list[HolderScan]:
    """Take both steps of a `Scan`."""
    found = Scan(requests, clock=clock, budget_s=budget_s)
    found.look()
    return found.finish()


def _mount_ids(targets: Sequence[Target]) -> set[int]:
    """Return what the kernel calls the mounts: the ids of mountinfo, and those of statmount(2)."""
    found = {target.mount.mnt_id for target in targets if target.mount is not None}
    known = (target.request.mount_id for target in targets)
    return found | {each for each in known if each is not None}


def _is_read_for(target: Target) -> bool:
    """Whether processes are read for a target: its mount is there, or is not known to be gone.

    After a success the question is whether a mount is there still, and the table may answer it.
    """
    if not target.placed:
        return False
    if target.request.over and target.table is not None:
        target.blind.append("processes (read only after an EBUSY)")
        return False
    return target.table is None or target.mount is not None


def _sampled(found: Sequence[_Found], clock: Callable[[], int]) -> list[_Found]:
    samples = resample_apart([f.opened for f in found], clock)
    return [
        replace(f, holder=replace(f.holder, **each._asdict()))
        for f, each in zip(found, samples, strict=True)
    ]


def _references(found: Sequence[_Found]) -> list[int | None]:
    return references([(id(f.target), f.opened) for f in found])


def _with_references(
    found: Sequence[_Found], before: Sequence[int | None], after: Sequence[int | None]
) -> list[_Found]:
    """Return them with the number of the reference that each had before and after its samples."""
    return [
        replace(f, holder=replace(f.holder, ref=one if one == other else None))
        for f, one, other in zip(found, before, after, strict=True)
    ]


def _mounts_on(target: Target) -> Iterator[_Found]:
    if target.table is None or target.mount is None:
        return
    for child in target.table.children(target.mount):
        detail = f"{child.point} ({child.fstype})"
        holder = Holder(kind="submount", detail=detail, mnt_id=child.mnt_id, match="mount-id")
        yield _Found(target, holder, None)


def _kernel(targets: list[Target]) -> list[_Found]:
    found = []
    for kind, path, by in kernel_files():
        plain = procfs.undeleted(path)
        for target in targets:
            # The path is that of the namespace that set it up, and that is not known.
            mount = target.mount
            if mount is None or target.table is None or target.table.holding(plain) is not mount:
                continue
            if kind != "swap" or swap_is_on(mount, path) is not False:
                holder = Holder(kind=kind, comm=by, detail=path, match="path")
                found.append(_Found(target, holder, None))
    return found


def _answer(
    target: Target, found: list[_Found], sweep: QuickSweep, begin: int, end: int
) -> HolderScan:
    mine = [_readable(f.holder) for f in found if f.target is target]
    blind = [*target.blind, *sweep.blind]
    if len(mine) > _MOST_HOLDERS:
        blind.append(f"{len(mine) - _MOST_HOLDERS} holders more, not listed")
    mount = target.mount
    return HolderScan(
        umount_id=target.request.umount_id,
        path=target.request.path,
        begin_ns=begin,
        end_ns=end,
        mounted=target.mounted,
        dev=mount.dev if mount else None,
        fstype=mount.fstype if mount else None,
        holders=tuple(mine[:_MOST_HOLDERS]),
        blind=tuple(blind),
        n_processes=len(sweep.pids),
    )


def _readable(holder: Holder) -> Holder:
    """Return a holder that can be recorded: a file's name may be any bytes."""
    comm, detail = (name and procfs.readable(name) for name in (holder.comm, holder.detail))
    return replace(holder, comm=comm, detail=detail)
