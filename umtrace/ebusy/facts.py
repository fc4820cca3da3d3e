"""Evidence as short sentences that a reader can check."""

from __future__ import annotations

from collections.abc import Sequence

from umtrace.ebusy.attempts import Attempt
from umtrace.ebusy.runs import Run
from umtrace.ebusy.walkers import Departure
from umtrace.records.clues import Check, Walk
from umtrace.records.holders import Holder
from umtrace.records.pathcalls import PATH_CALLS

_NS_PER_MS = 1_000_000
_PLAIN_COUNT = 2


def ms(ns: int) -> str:
    """Return a time in ms with the digits that matter here."""
    value = ns / _NS_PER_MS
    return f"{value:.3f} ms" if value < 1 else f"{value:.1f} ms"


def of_attempts(run: Run) -> list[str]:
    """Say what umount itself said."""
    first = run.first
    lines = [f"umount by {first.comm or '?'} ({first.pid or '?'}) got EBUSY" + _times(run.busy)]
    if first.refcount is not None and first.refcount > _PLAIN_COUNT:
        lines.append(
            f"reference count at the check was {first.refcount}: "
            f"{first.refcount - _PLAIN_COUNT} more than umount's own"
        )
    if run.over is not None and run.success is None:
        lines.append(_other_end(run))
    if run.why_over:
        lines.append(run.why_over)
    return lines


def of_success(run: Run, within_ns: int) -> str:
    """Say when a retry succeeded."""
    success = run.success or run.last
    later = ms(max(success.t_start - run.first.end_ns, 0))
    return f"a plain umount succeeded {later} after the first EBUSY (within {ms(within_ns)})"


def of_another_mount(run: Run) -> str:
    """Say why that success may be another mount's at the same path; empty where nothing says so."""
    if run.first.mount_id is not None:
        return ""
    after = run.late_scans()
    if any(holder.stays for scan in after for holder in scan.holders):
        return "but a mount at this path is held after it: the success may be another mount's"
    if any(scan.mounted for scan in after):
        return "but a mount is at this path after it: the success may be another mount's"
    return ""


def of_below(run: Run, below: Attempt) -> str:
    """Say what was unmounted below, and when."""
    later = ms(max(below.t_start - run.first.end_ns, 0))
    return f"{below.path}, a mount below, was unmounted {later} after the first EBUSY"


def of_check(check: Check) -> str:
    """Say where the kernel decided."""
    if check.site == "submount":
        return "the busy check ended at a mount below, without looking at the count"
    where = f" in mount namespace {check.mntns}" if check.mntns else ""
    return f"a propagated copy{where} was in use; the mount's own count was {check.refcount}"


def of_holders(run: Run, holders: Sequence[Holder]) -> list[str]:
    """Say who was found."""
    scan = next(s for s in run.timely_scans() if s.holders)
    lines = [f"{describe(holder)}" for holder in holders[:8]]
    lines.append(f"seen {ms(max(scan.begin_ns - run.first.end_ns, 0))} after the first EBUSY")
    if run.success is not None:
        later = ms(max(run.success.t_start - run.first.end_ns, 0))
        lines.append(f"a plain umount succeeded {later} after the first EBUSY")
    return lines


def of_departure(gone: Departure, left_ns: int) -> str:
    """Say that the extra references were seen to go."""
    names = ", ".join(f"{comm} ({tid})" if tid else comm for tid, comm in gone.putters[:4])
    names = names or "somebody unseen"
    when = "before it returned" if left_ns < 0 else f"{ms(left_ns)} after the first EBUSY"
    what = "the extra reference" if gone.extra == 1 else f"all {gone.extra} extra references"
    return f"{what} had gone {when}; put by {names}"


def of_slow_walks(gone: Departure, walks: Sequence[Walk]) -> list[str]:
    """Say of those that took long that they were path walks: nobody stayed in there."""
    lines = []
    for put in walks[:4]:
        call, took = PATH_CALLS[put.syscall or 0], ms(put.ts_ns - gone.asked_ns)
        lines.append(
            f"{put.comm} ({put.tid}) put its own inside the {call} call that took it, "
            f"{took} after the first EBUSY: a path walk that was held up"
        )
    return lines


def of_unseen(gone: Departure) -> str:
    """Say why references whose puts were not seen were no holder's."""
    which = "the put of one more" if gone.unseen == 1 else f"the puts of {gone.unseen} more"
    return f"{which} had begun before the check; the mount was watched until it was free"


def of_doubt(gone: Departure) -> str:
    """Say why references that were seen to go prove nothing."""
    if gone.skipped:
        return "not every put was seen meanwhile (hits skipped, or records lost): it proves nothing"
    if gone.accounted:
        return "others came meanwhile, and a put was not that of a path walk: it proves nothing"
    if gone.all_seen:
        return "the mount was not watched without a break from the check on: it proves nothing"
    return (
        f"{len(gone.earlier)} puts were seen of {gone.extra} such references while others came: "
        "that does not add up, and proves nothing"
    )


def of_nothing_found(run: Run) -> list[str]:
    """Say why it stays unknown."""
    lines = []
    scans = run.timely_scans()
    for scan in scans[:1]:
        later = ms(max(scan.begin_ns - run.first.end_ns, 0))
        line = f"{later} after it no holder was visible in {scan.n_processes} processes"
        if scan.holders:
            line = f"{later} after it, of {scan.n_processes} processes, who was seen let go"
        lines.append(line + (f"; not seen: {', '.join(scan.blind)}" if scan.blind else ""))
    if not scans:
        lines.append("no look at who held it was made in time")
    if run.success is not None:
        later = ms(max(run.success.t_start - run.first.end_ns, 0))
        lines.append(f"a plain umount succeeded {later} after the first EBUSY: too late to tell")
    return lines


def describe(holder: Holder) -> str:
    """Return who and what, in a sentence without a verb."""
    if holder.kind == "submount":
        return f"mount below: {holder.detail}"
    if holder.pid is None:
        return f"{holder.kind} {holder.comm or ''}: {holder.detail}"
    what = f"{holder.kind} {holder.fd}" if holder.fd is not None else holder.kind
    task = f"{holder.comm or '?'} ({holder.pid})"
    copy = f" of a copy in mount namespace {holder.mntns}" if holder.of == "copy" else ""
    return f"{task}: {what}{copy} at {holder.detail}, at {holder.seen} of {holder.looks} looks"


def _times(count: int) -> str:
    return "" if count == 1 else f" {count} times"


def _other_end(run: Run) -> str:
    over = run.over or run.last
    if over.errno == 0 and over.mount_id is None and over.path is None:
        return "then an umount of the same task succeeded, of this mount or of another"
    if over.errno == 0:
        how = "MNT_DETACH" if over.mode == "lazy" else "MNT_FORCE"
        return f"then {how} succeeded, which proves nothing about who held it"
    return f"then umount failed with errno {over.errno}: not this mount any more"
