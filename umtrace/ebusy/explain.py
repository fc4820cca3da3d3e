"""Evidence as short sentences that a reader can check."""

from __future__ import annotations

from collections.abc import Sequence

from umtrace.ebusy.attempts import Attempt
from umtrace.ebusy.references import Account
from umtrace.ebusy.releases import Release
from umtrace.ebusy.runs import Run
from umtrace.model.evidence import Check, Walk
from umtrace.model.holders import Holder
from umtrace.model.pathcalls import PATH_CALLS

_NS_PER_MS = 1_000_000
_PLAIN_COUNT = 2


def ms(ns: int) -> str:
    """Return a time in ms, with more digits if it is short."""
    value = ns / _NS_PER_MS
    return f"{value:.3f} ms" if value < 1 else f"{value:.1f} ms"


def of_attempts(run: Run) -> list[str]:
    """Return the results of the umount calls."""
    first = run.first
    lines = [f"umount by {first.comm or '?'} ({first.pid or '?'}) got EBUSY" + _times(run.busy)]
    if first.refcount is not None and first.refcount > _PLAIN_COUNT:
        lines.append(
            f"the busy check counted {first.refcount} references, "
            f"{first.refcount - _PLAIN_COUNT} more than umount itself holds"
        )
    if run.over is not None and run.success is None:
        lines.append(_other_end(run))
    if run.why_over:
        lines.append(run.why_over)
    return lines


def of_account(account: Account) -> list[str]:
    """Return how many of the references a scan named, and what is known of the rest."""
    refs, named, rest = account.refs, account.named, account.rest
    if refs is None or named is None:
        return []
    line = f"a scan named {named} of {refs} references"
    if rest and account.whole:
        other = "the other is" if rest == 1 else f"the other {rest} are"
        line += (
            f"; {other} no working directory, root, open file, program, mapping or bound socket "
            "of a process, no loop device and no swap file"
        )
    elif rest:
        line += f"; not seen: {', '.join(account.blind)}" if account.blind else ", or more"
    return [line]


def of_success(run: Run, within_ns: int) -> str:
    """Return when a retry succeeded."""
    success = run.success or run.last
    later = ms(max(success.t_start - run.first.end_ns, 0))
    return f"a sync umount succeeded {later} after the first EBUSY (within {ms(within_ns)})"


def of_another_mount(run: Run) -> str:
    """Return why the retry may be of another mount at that path; empty if there is no reason."""
    if run.first.mount_id is not None:
        return ""
    after, other = run.late_scans(), "that umount may have been of another mount"
    if any(holder.stays for scan in after for holder in scan.holders):
        return f"a mount at this path is still held: {other}"
    if any(scan.mounted for scan in after):
        return f"a mount is still at this path: {other}"
    return ""


def of_below(run: Run, below: Attempt) -> str:
    """Return what was unmounted below, and when."""
    later = ms(max(below.t_start - run.first.end_ns, 0))
    return f"the mount below at {below.path} was unmounted {later} after the first EBUSY"


def of_check(check: Check) -> str:
    """Return which check of the kernel found the mount busy."""
    if check.site == "submount":
        return "the busy check found a mount below and compared no reference counts"
    where = f" in mount namespace {check.mntns}" if check.mntns else ""
    return f"a propagated copy{where} was in use; the mount itself had {check.refcount} references"


def of_holders(run: Run, holders: Sequence[Holder]) -> list[str]:
    """Return a line for each holder, with the time at which it was found."""
    scan = next(s for s in run.timely_scans() if s.holders)
    lines = [f"{describe(holder)}" for holder in holders[:8]]
    lines.append(f"found {ms(max(scan.begin_ns - run.first.end_ns, 0))} after the first EBUSY")
    if run.success is not None:
        later = ms(max(run.success.t_start - run.first.end_ns, 0))
        lines.append(f"a sync umount succeeded {later} after the first EBUSY")
    return lines


def explain_release(gone: Release, left_ns: int) -> str:
    """Return when the extra references were released, and by which tasks."""
    names = ", ".join(f"{comm} ({tid})" if tid else comm for tid, comm in gone.putters[:4])
    names = names or "a task that was not seen"
    when = "before umount returned" if left_ns < 0 else f"{ms(left_ns)} after the first EBUSY"
    what = "the extra reference was" if gone.extra == 1 else f"all {gone.extra} references were"
    return f"{what} released {when}, by {names}"


def of_slow_walks(gone: Release, walks: Sequence[Walk]) -> list[str]:
    """Return a line for each late release of a path walk's reference."""
    lines = []
    for put in walks[:4]:
        call, took = PATH_CALLS[put.syscall or 0], ms(put.ts_ns - gone.asked_ns)
        lines.append(
            f"{put.comm} ({put.tid}) took and released its reference within one {call} call, "
            f"{took} after the first EBUSY: a delayed path walk"
        )
    return lines


def of_children(gone: Release, children: Sequence[Walk]) -> list[str]:
    """Return a line for each child that had a descriptor until its execve, and what helps."""
    lines = []
    for put in children[:4]:
        later, parent = put.ts_ns - gone.asked_ns, f" (pid {put.parent})" if put.parent else ""
        when = "before umount returned" if later < 0 else f"{ms(later)} after the first EBUSY"
        task = f"{put.comm} ({put.tid})"
        lines.append(f"{task} had a descriptor from its parent{parent} until its execve, {when}")
    lines.append("a retry after a pause helps, or no fork while a descriptor of the mount is open")
    return lines


def of_unseen(gone: Release) -> str:
    """Return why references whose release was not seen belonged to no holder."""
    which = "one more release" if gone.unseen == 1 else f"{gone.unseen} more releases"
    return f"{which} had begun before the busy check; the mount was traced until it was free"


def explain_inconclusive(gone: Release) -> str:
    """Return why the releases that were seen are inconclusive."""
    if gone.skipped:
        return "inconclusive: some releases were not seen (probe hits skipped, or events lost)"
    if gone.accounted:
        return "inconclusive: other tasks took references, and one release was not by a path walk"
    if gone.all_seen:
        return "inconclusive: the mount was not traced without a gap from the busy check on"
    return (
        f"inconclusive: {len(gone.earlier)} releases were seen for {gone.extra} such references, "
        "while other tasks took new ones"
    )


def of_nothing_found(run: Run) -> list[str]:
    """Return why the class stays unknown."""
    lines = []
    scans = run.timely_scans()
    for scan in scans[:1]:
        later = ms(max(scan.begin_ns - run.first.end_ns, 0))
        line = f"a scan {later} after it found no holder in {scan.n_processes} processes"
        if scan.holders:
            line = (
                f"a scan {later} after it, of {scan.n_processes} processes, found no lasting holder"
            )
        lines.append(line + (f"; not seen: {', '.join(scan.blind)}" if scan.blind else ""))
    if not scans:
        lines.append("no scan for holders was made in time")
    if run.success is not None:
        later = ms(max(run.success.t_start - run.first.end_ns, 0))
        lines.append(
            f"a sync umount succeeded {later} after the first EBUSY, too late to prove anything"
        )
    return lines


def describe(holder: Holder) -> str:
    """Return a holder and what it holds, without a verb."""
    if holder.kind == "submount":
        return f"mount below: {holder.detail}"
    if holder.pid is None:
        return f"{holder.kind} {holder.comm or ''}: {holder.detail}"
    what = f"{holder.kind} {holder.fd}" if holder.fd is not None else holder.kind
    task = f"{holder.comm or '?'} ({holder.pid})"
    copy = f" of a copy in mount namespace {holder.mntns}" if holder.of == "copy" else ""
    return f"{task}: {what}{copy} at {holder.detail}, in {holder.seen} of {holder.looks} samples"


def _times(count: int) -> str:
    return "" if count == 1 else f" {count} times"


def _other_end(run: Run) -> str:
    over = run.over or run.last
    if over.errno == 0 and over.mount_id is None and over.path is None:
        return "then an umount by the same task succeeded, of this mount or of another"
    if over.errno == 0:
        how = "MNT_DETACH" if over.mode == "lazy" else "MNT_FORCE"
        return f"then {how} succeeded, which shows no holder"
    return f"then umount failed with errno {over.errno}: the path was no longer this mount"
