"""Makes a window of a run: its class, whether it was spurious, and the evidence.

``spurious`` is true only if the extra references are known to be gone within ``spurious_within_ns``
of the first EBUSY, or if each is known to be that of a path walk. It is false only with a known
holder, or with the kernel's own reason. Otherwise it is null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from umtrace.ebusy import explain
from umtrace.ebusy.hold import hold_of
from umtrace.ebusy.references import Account, account_of
from umtrace.ebusy.releases import (
    RING,
    Release,
    find_release,
    for_a_ring,
    freed_at,
    holder_of,
    run_walkers,
)
from umtrace.ebusy.runs import Run
from umtrace.model.evidence import Walk
from umtrace.model.holders import Holder
from umtrace.model.pathcalls import PATH_CALLS
from umtrace.model.tiers import tier_named
from umtrace.model.windows import EbusyWindow

_PLAIN_COUNT = 2  # one for being mounted, one for umount's own path walk
_MOST_FACTS = 16
_RING_OF = re.compile(r"io[-_]uring of (pid \d+(?: \([^)]*\))?)")


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The class of a run, and the evidence for it as sentences."""

    klass: str = "unknown"
    spurious: bool | None = None
    site: str | None = None
    holders: tuple[Holder, ...] = ()
    free_at_ns: int | None = None  #: the time from which a retry would have succeeded
    free_bound: str | None = None
    refs_named: int | None = None  #: how many references the holders have
    evidence: list[str] = field(default_factory=list)


Rule = Callable[[Run, Verdict, int], bool]


def judge(run: Run, *, spurious_within_ns: int, offset_ns: int = 0) -> EbusyWindow:
    """Return the window of a run.

    Parameters
    ----------
    offset_ns : int
        Wall clock minus CLOCK_MONOTONIC, which is the clock of evidence.
    """
    account = account_of(run, offset_ns)
    verdict = Verdict(refs_named=account.named)
    verdict.evidence += [*explain.of_attempts(run), *explain.of_account(account)]
    gone = find_release(run, offset_ns)
    free_ns = freed_at(run, offset_ns)
    _note_free(run, verdict, free_ns)
    rules: tuple[Rule, ...] = (
        _expire,
        _checked,
        _found,
        _counted,
        _below,
        _quickly_free,
    )
    if not any(rule(run, verdict, spurious_within_ns) for rule in rules):
        verdict.evidence += explain.of_nothing_found(run)
    _walked(run, verdict, gone, free_ns, spurious_within_ns)
    _inherited(verdict, gone, spurious_within_ns)
    return _window(run, verdict, account, hold_of(run, gone, offset_ns))


def _expire(run: Run, verdict: Verdict, _within: int) -> bool:
    if not run.expiring:
        return False
    if run.expiring < run.busy:  # plain calls failed as well, for another reason
        calls = f"{run.expiring} of {run.busy} calls"
        verdict.evidence.append(
            f"{calls} had MNT_EXPIRE, which fails with EBUSY on any other reference"
        )
        return False
    verdict.klass, verdict.spurious, verdict.site = "expire", False, "expire"
    verdict.evidence.append(
        "MNT_EXPIRE fails with EBUSY on any other reference; no retry is intended"
    )
    verdict.holders = _staying(run)
    return True


def _checked(run: Run, verdict: Verdict, _within: int) -> bool:
    """Decide by the probe at the busy check, if it has no count, or that of a copy."""
    check = next((c for c in run.checks if c.site in {"submount", "copy"}), None)
    if check is None:
        return False
    verdict.spurious, verdict.site = False, check.site
    verdict.klass = {"submount": "submount", "copy": "propagated-copy"}[check.site]
    verdict.evidence.append(explain.of_check(check))
    verdict.holders = _staying(run)
    return True


def _found(run: Run, verdict: Verdict, _within: int) -> bool:
    """Decide by the holders that are in every sample of a scan."""
    holders = _staying(run)
    if not holders:
        return False
    own = [h for h in holders if h.of == "mount" and h.kind != "submount"]
    below = [h for h in holders if h.kind == "submount"]
    verdict.klass = "held" if own else "submount" if below else "propagated-copy"
    verdict.site = {"held": "refcount", "submount": "submount"}.get(verdict.klass, "copy")
    verdict.spurious, verdict.holders = False, holders
    verdict.evidence += explain.of_holders(run, holders)
    return True


def _counted(run: Run, verdict: Verdict, _within: int) -> bool:
    """Decide by the count in the row, if it shows that this mount was not in use."""
    if not tier_named(run.first.tier or "").counts_references or run.checks or run.first.expiring:
        return False
    if run.first.refcount is None:
        verdict.evidence.append(
            "the busy check compared no reference counts: there may have been a mount below"
        )
        return False
    if run.first.refcount > _PLAIN_COUNT:
        return False
    verdict.klass, verdict.site, verdict.spurious = "propagated-copy", "copy", False
    verdict.evidence.append(
        f"the mount itself had {run.first.refcount} references, which is not busy: "
        "a propagated copy was in use"
    )
    return True


def _below(run: Run, verdict: Verdict, within: int) -> bool:
    """Decide by the umount of a mount below, if no probe sees the busy check."""
    below = run.below_from_the_start()
    if not below:
        return False
    soon = [b for b in below if b.t_start - run.first.end_ns <= within]
    verdict.evidence.append(explain.of_below(run, (soon or below)[0]))
    if not soon:
        return False
    verdict.klass, verdict.spurious, verdict.site = "submount", False, "submount"
    verdict.holders = tuple(Holder(kind="submount", detail=b.path, match="path") for b in soon)
    return True


def _quickly_free(run: Run, verdict: Verdict, within: int) -> bool:
    """Decide by a sync umount that succeeded so soon that the EBUSY was transient."""
    success = run.success
    if success is None or success.checked_ns - run.first.end_ns > within:
        return False
    verdict.site = "refcount"
    verdict.evidence.append(explain.of_success(run, within))
    doubt = explain.of_another_mount(run)
    if doubt:
        verdict.evidence.append(doubt)
    else:
        verdict.klass, verdict.spurious = "transient-ref", True
    return True


def _walked(
    run: Run, verdict: Verdict, gone: Release | None, free_ns: int | None, within: int
) -> None:
    """Decide by the puts of all extra references: soon, or by the path walk that took it."""
    if gone is None or verdict.spurious is not None:
        return
    left_ns = gone.at_ns - run.first.end_ns
    verdict.evidence.append(explain.explain_release(gone, left_ns))
    slow, walks = gone.later_than(within), gone.late_walks(within)
    # A hit that the kernel skipped makes a count wrong, so the puts must agree with it.
    freed = free_ns is not None and free_ns - run.first.end_ns <= within
    if freed or gone.without_holder(within):
        verdict.klass, verdict.spurious, verdict.site = "transient-ref", True, "refcount"
        verdict.evidence += explain.of_slow_walks(gone, walks)
        if not freed and gone.unseen:
            verdict.evidence.append(explain.of_unseen(gone))
        return
    doubtful = (*walks, *gone.maybe_opened_late(within))
    known = tuple(put for put in slow if put not in doubtful and put.syscall is not None)
    holders = known if gone.all_seen else tuple(put for put in known if put in gone.kept)
    if gone.stayed and gone.last is not None and gone.last not in doubtful:
        holders = (gone.last,) if gone.last.syscall not in PATH_CALLS else holders
    if holders:
        verdict.klass, verdict.spurious, verdict.site = "held", False, "refcount"
        verdict.holders = tuple(dict.fromkeys(_seen_to_put(run, put) for put in holders))
        tids = {put.tid for put in holders}
        verdict.refs_named = sum(put.tid in tids for put in known) if gone.all_seen else None
    else:
        verdict.evidence.append(explain.explain_inconclusive(gone))


def _inherited(verdict: Verdict, gone: Release | None, within: int) -> None:
    """Tell descriptors that a child had until its execve from path walks and from holders."""
    children = tuple(put for put in gone.earlier if put.first_exec) if gone else ()
    if gone is None or not children:
        return
    scanned = verdict.klass == "held" and _are_all_children(verdict.holders, gone, within)
    if verdict.klass != "transient-ref" and not scanned:
        return
    verdict.klass, verdict.spurious, verdict.site = "inherited-fd", False, "refcount"
    if not scanned:  # a scan knows the number of the descriptor
        verdict.holders = tuple(dict.fromkeys(_child(put) for put in children))
    verdict.refs_named = len(children) if gone.all_seen else None
    verdict.evidence += explain.of_children(gone, children)


def _are_all_children(holders: Sequence[Holder], gone: Release, within: int) -> bool:
    """Whether all that a scan found are descriptors that the execve of their process closed."""
    inherited = {put.pid for put in gone.late_children(within)}
    ours = all(holder.kind == "fd" and holder.pid in inherited for holder in holders)
    return ours and gone.without_holder(within)


def _child(put: Walk) -> Holder:
    parent = f" from pid {put.parent}" if put.parent else ""
    return holder_of(put, f"inherited{parent}, closed by its execve")


def _seen_to_put(run: Run, put: Walk) -> Holder:
    if for_a_ring(put):
        return _ring(run)
    return holder_of(put, "released by it as it exited" if put.exiting else "released by it")


def _ring(run: Run) -> Holder:
    """Return the process of the io_uring that held the mount, if a kernel worker released it.

    A scan may have found that ring, or a ring of which the kernel does not show the files.
    """
    owners = {(h.pid, h.comm) for scan in run.scans for h in scan.holders if h.kind == "io-uring"}
    if len(owners) == 1:
        ((pid, comm),) = owners
        detail = "released by a kernel worker, for its io_uring"
        return Holder(kind="io-uring", pid=pid, comm=comm, detail=detail, match="probe")
    seen = (note for scan in run.scans for note in scan.blind)
    maybe = {found[1] for found in map(_RING_OF.search, seen) if found}
    detail = RING + (f", maybe that of {maybe.pop()}" if len(maybe) == 1 else "")
    return Holder(kind="reference", detail=detail, match="probe")


def _note_free(run: Run, verdict: Verdict, free_ns: int | None) -> None:
    if free_ns is not None:
        end = run.success.t_start if run.success else free_ns
        verdict.free_at_ns, verdict.free_bound = min(free_ns, end), "exact"
    elif run.success is not None:
        verdict.free_at_ns, verdict.free_bound = run.success.t_start, "upper"


def _staying(run: Run) -> tuple[Holder, ...]:
    found: dict[tuple[object, ...], Holder] = {}
    for scan in run.timely_scans():
        for holder in scan.holders:
            if holder.stays:
                found.setdefault((holder.kind, holder.pid, holder.fd, holder.detail), holder)
    return tuple(found.values())


def _window(
    run: Run, verdict: Verdict, account: Account, hold: tuple[int | None, int | None]
) -> EbusyWindow:
    first = run.first
    seen_dev = next((s.dev for s in run.timely_scans() if s.dev), None)
    free = None if verdict.free_at_ns is None else max(verdict.free_at_ns - first.t_start, 0)
    return EbusyWindow(
        klass=verdict.klass,
        spurious=verdict.spurious,
        begin_ns=first.t_start,
        end_ns=max(run.end_ns, first.t_start),
        path=first.path,
        dev=first.dev or seen_dev,
        umount_id=first.id,
        errno_site=verdict.site,
        refcount=first.refcount,
        refs=account.refs,
        refs_named=verdict.refs_named if account.refs is not None else None,
        holders=verdict.holders,
        walkers=run_walkers(run),
        evidence=tuple(verdict.evidence[:_MOST_FACTS]),
        attempts=run.attempts,
        cost_ns=run.cost_ns,
        first_success_ns=free,
        first_success_bound=verdict.free_bound,
        held_min_ns=hold[0],
        held_max_ns=hold[1],
        pid=first.pid,
        comm=first.comm,
        container=first.container,
        mntns=first.mntns,
        tier=first.tier,
    )
