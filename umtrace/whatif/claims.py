"""Claims of devices that succeeded soon after an umount, and would have got EBUSY: pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umtrace.model.arrow import Bools
from umtrace.stats.buckets import Int64
from umtrace.whatif.designs import Design
from umtrace.whatif.load import Load
from umtrace.whatif.simulate import Outcome

#: how long after an umount claims are recorded; as UM_CLAIM_NS in bpf/claims.h
WITHIN_NS = 10_000_000_000

NO_CLAIMS = "claims of devices that succeed are not recorded"
NO_DEVICE = "a file system that would be shut down later has devices that its rows do not name"
LATER = "a shutdown would end later than claims are recorded, which is 10 s"
NOT_ALL = "a teardown of several mounts, of whose devices --probes light sees one"
NO_ROW = "a claim follows the shutdown of a file system that is in no row"
#: file systems whose superblock has a number that is not that of the device they claim
_OWN_NUMBERS = ("bcachefs", "btrfs", "zfs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdowns:
    """k superblocks of block devices that were shut down; arrays of shape (k,).

    ``at`` is when that began, ns of UTC; ``dev`` the place in ``Claims.devs``, ``tid`` the task.
    """

    at: Int64
    dev: Int64
    tid: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """m claims that succeeded within `WITHIN_NS` of an umount; arrays of shape (m,).

    Attributes
    ----------
    at : ndarray
        When, ns of UTC.
    dev : ndarray
        Place in ``devs``, which are such as ``7:0``.
    shutdowns : Shutdowns or None
        None where the probes do not see each superblock.
    whole : bool
        The load has every row of the recording.
    why : str
        Why claims are unknown; empty if they are known.
    """

    at: Int64
    dev: Int64
    devs: tuple[str, ...]
    shutdowns: Shutdowns | None = None
    whole: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Each claim with each umount that had its device before; arrays of shape (p,).

    ``claim`` is a number from 0 on, ``umount`` a place in the load, ``after`` how long after the
    return the claim came, ns. ``why`` says why they are unknown.
    """

    claim: Int64
    umount: Int64
    after: Int64
    sees_all: bool = True
    why: str = ""


def unknown(why: str) -> Claims:
    """Return that nothing is known of claims."""
    nothing = np.empty(0, np.int64)
    return Claims(at=nothing, dev=nothing, devs=(), why=why)


def paired(load: Load, claims: Claims) -> Pairs:
    """Tie claims to the umounts of a load that had their device within `WITHIN_NS` before."""
    found = [_of_rows(load, claims, n) for n in range(claims.at.size)]
    if claims.shutdowns is not None:
        more = [_of_shutdowns(load, claims, claims.shutdowns, n) for n in range(claims.at.size)]
        lost = [rows is None and not one.size for rows, one in zip(more, found, strict=True)]
        if claims.whole and any(lost) and not claims.why:
            return paired(load, unknown(NO_ROW))
        both = zip(found, more, strict=True)
        found = [one if rows is None else np.union1d(one, rows) for one, rows in both]
    umount = np.concatenate([*found, np.empty(0, np.int64)]).astype(np.int64)
    claim = np.repeat(np.arange(claims.at.size), [one.size for one in found])
    ended = (load.begin + load.recorded)[umount] + load.zero_ns
    return Pairs(
        claim=claim,
        umount=umount,
        after=np.maximum(claims.at[claim] - ended, 0),
        sees_all=claims.shutdowns is not None,
        why=claims.why,
    )


def _of_rows(load: Load, claims: Claims, n: int) -> Int64:
    """Return the umounts whose own mount had the device of claim ``n``."""
    at, name = int(claims.at[n]) - load.zero_ns, claims.devs[int(claims.dev[n])]
    first = int(np.searchsorted(load.begin, at - 2 * WITHIN_NS))
    last = int(np.searchsorted(load.begin, at, side="right"))
    if name not in load.devs:
        return np.empty(0, np.int64)
    mine = load.succeeded[first:last] & (load.dev[first:last] == load.devs.index(name))
    mine &= (load.begin + load.recorded)[first:last] >= at - WITHIN_NS
    return first + np.flatnonzero(mine)


def _of_shutdowns(load: Load, claims: Claims, downs: Shutdowns, n: int) -> Int64 | None:
    """Return the operation that shut the superblock down before claim ``n``.

    None if one did that is not in the load; empty if no superblock of the device was shut down.
    """
    at = int(claims.at[n])
    before = (downs.dev == claims.dev[n]) & (downs.at <= at) & (downs.at >= at - WITHIN_NS)
    if not before.any():
        return np.empty(0, np.int64)
    last = int(np.flatnonzero(before)[np.argmax(downs.at[before])])
    began = downs.at[last] - load.zero_ns
    within = (load.begin <= began) & (began <= load.begin + load.recorded)
    mine = np.flatnonzero(within & (load.tid == downs.tid[last]) & load.succeeded)
    return mine[-1:] if mine.size else None


def still_busy(pairs: Pairs, outcome: Outcome) -> Int64:
    """Return for how long each claim that would get EBUSY would go on to do so, ns, shape (q,).

    A claim comes as long after the return of the umount as it did when recorded. The device is busy
    until the last superblock on it is shut down.
    """
    if not pairs.claim.size:
        return np.empty(0, np.int64)
    later = (outcome.gone - outcome.returned)[pairs.umount] - pairs.after
    left = np.zeros(int(pairs.claim.max()) + 1, np.int64)
    np.maximum.at(left, pairs.claim, later)
    return left[left > 0]


def why_unknown(load: Load, design: Design, outcome: Outcome, pairs: Pairs) -> str:
    """Return why it is unknown which claims would get EBUSY under a design; empty if it is known.

    Nothing is unknown of a design that shuts every file system down before the call returns. The
    ends of all shutdowns must be known.
    """
    late = outcome.deferred & load.succeeded
    if not design.defers or not late.any():
        return ""
    if pairs.why:
        return pairs.why
    if late[_named(load, _OWN_NUMBERS)].any():
        return NO_DEVICE
    if not pairs.sees_all and (late & (load.mounts > 1)).any():
        return NOT_ALL
    # Claims are recorded since the shutdown at least, or since the begin.
    seen = outcome.gone - outcome.returned + load.recorded
    return LATER if bool((late & _on_disk(load) & (seen > WITHIN_NS)).any()) else ""


def _named(load: Load, fstypes: tuple[str, ...]) -> Bools:
    of = np.array([name in fstypes for name in load.fstypes], np.bool_)
    named: Bools = of[load.fstype] if of.size else np.zeros(len(load), np.bool_)
    return named


def _on_disk(load: Load) -> Bools:
    """Return which umounts have a block device, or may have one: several mounts, or unknown."""
    of = np.array([name is None or not name.startswith("0:") for name in load.devs], np.bool_)
    found: Bools = (load.mounts > 1) | (of[load.dev] if of.size else False)
    return found
