"""The scan of a recording: one pass over /proc for all requested mounts, then samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from umtrace.holders import procfs
from umtrace.holders.claimed import claimed
from umtrace.holders.kernelrefs import kernel_files, swap_is_on
from umtrace.holders.match import Matcher
from umtrace.holders.mounts import MountTable
from umtrace.holders.procfs import Open
from umtrace.holders.sampling import resample
from umtrace.holders.sweep import Sweep
from umtrace.holders.target import Target, find_target
from umtrace.model.holders import Holder, HolderScan, ScanRequest

BUDGET_S = 0.05
_MOST_HOLDERS = 32


@dataclass(frozen=True, slots=True)
class _Found:
    target: Target
    holder: Holder
    opened: Open | None


def scan(
    requests: Sequence[ScanRequest],
    *,
    clock: Callable[[], int] = time.time_ns,
    budget_s: float = BUDGET_S,
) -> list[HolderScan]:
    """Return one scan per request; takes about ``budget_s`` and SAMPLES_SPAN_S at most.

    Parameters
    ----------
    clock : callable
        Wall clock in ns, the same as that of the rows.
    """
    begin, deadline = clock(), time.monotonic() + budget_s
    own = procfs.mntns("self")
    table = MountTable.of()
    targets = [find_target(request, table, own) for request in requests]
    present = [
        target for target in targets if target.placed and (target.table is None or target.mount)
    ]
    devs = {target.mount.dev for target in present if target.mount}
    elsewhere = any(target.mount is None for target in present)  # its superblock is not known
    points = [target.point for target in present]
    sweep = Sweep(deadline, prefixes=points, devs=() if elsewhere else devs)
    found = [f for target in present for f in _mounts_on(target)]
    found += _kernel(present)
    if present:
        found += _processes(sweep, Matcher(present, own))
    samples = resample([f.opened for f in found], clock)
    found = [
        replace(f, holder=replace(f.holder, **each._asdict()))
        for f, each in zip(found, samples, strict=True)
    ]
    if len({id(f.target) for f in found if f.holder.stays}) < len(present):
        found += [_Found(target, holder, None) for target, holder in claimed(present, table, sweep)]
    end = clock()
    return [_answer(target, found, sweep, begin, end) for target in targets]


def _processes(sweep: Sweep, matcher: Matcher) -> list[_Found]:
    return [
        _Found(target, holder, opened)
        for opened in sweep.everything()
        for target, holder in matcher.holders(opened)
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


def _answer(target: Target, found: list[_Found], sweep: Sweep, begin: int, end: int) -> HolderScan:
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
