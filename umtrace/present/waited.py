"""Who waited for the namespace lock behind whom, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umtrace.model.tiers import tier_named
from umtrace.present.terminal import clean
from umtrace.present.units import duration
from umtrace.teardowns import Behind, Rows

_HOLDER = "lock_holder_tid"
_SINCE = (1, 1)
_UMOUNTS = {"umount": "umount", "ns-exit": "the end of a namespace", "expire": "an expiry"}
UNSEEN = "who had it was not recorded"
READERS = (
    "no writer had it as the wait began. Hint, not seen: readers of mountinfo, or a wait for a CPU"
)


def behind_text(wait: Behind, rows: Rows, *, seen: bool = True) -> str:
    """Return what an umount waited for: `waited 41.0 ms behind umount of /x by dockerd (…)`.

    Parameters
    ----------
    seen : bool
        Whether the tier sees who has the lock.
    """
    text = f"waited {duration(wait.waited_ns)} "
    if wait.is_known:
        return text + f"behind {_first(wait, rows)}{_others(wait)}"
    return text + f"for the namespace lock: {READERS if seen else UNSEEN}"


def behind_row(row: Mapping[str, Any]) -> str:
    """Return the same of one row alone, for a line as it happens; empty if nobody is known."""
    if row.get(_HOLDER) is None:
        return ""
    who = _task(row["lock_holder_comm"], row[_HOLDER])
    return f"waited {duration(row['lock_ns'])} behind {_what(row['lock_holder_op'])} by {who}"


def sees_holders(tier: str, version: tuple[int, int]) -> bool:
    """Whether rows of a tier, in a recording of this version, can say who had the lock."""
    return version >= _SINCE and _HOLDER not in tier_named(tier).never


def _first(wait: Behind, rows: Rows) -> str:
    if wait.first is not None:
        tree = duration(int(rows.of("tree_ns")[wait.first]))
        return f"{row_text(rows, wait.first)} by {_by(rows, wait.first)} (its tree {tree})"
    if wait.tid is not None:
        return f"{_what(wait.op)} by {_task(wait.comm, wait.tid)}"
    first = wait.others[0]
    return f"{row_text(rows, first)} by {_by(rows, first)}"


def _others(wait: Behind) -> str:
    counted = len(wait.others) - (wait.first is None and wait.tid is None)
    if not counted:
        return ""
    return f" and {counted} other{'s' * (counted > 1)}"


def row_text(rows: Rows, at: int) -> str:
    """Return what an umount is: `umount of /mnt`, `the end of namespace 4026531841`."""
    if rows.text("origin", at) == "ns-exit":
        return f"the end of namespace {int(rows.of('mntns')[at])}"
    path = clean(rows.text("path", at) or "")
    return f"umount of {path}" if path else _what(rows.text("origin", at))


def _by(rows: Rows, at: int) -> str:
    return _task(rows.text("comm", at), int(rows.of("tid")[at]))


def _task(comm: str | None, tid: int | None) -> str:
    return f"{clean(comm or '?')} ({tid})"


def _what(op: str | None) -> str:
    return "an unknown operation" if op is None else _UMOUNTS.get(op, clean(op))
