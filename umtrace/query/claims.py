"""What a recording says of claims of devices that succeeded soon after an umount."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import integers
from umtrace.model.devices import MINOR_BITS, device_name
from umtrace.model.kinds import Kind
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.model.tiers import tier_named
from umtrace.stats.buckets import Int64
from umtrace.whatif.claims import NO_CLAIMS, WITHIN_NS, Claims, Shutdowns, unknown

if TYPE_CHECKING:
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording

#: key in meta.json: for how long after an umount claims are recorded, ns; null if they are not
KEY = "claims_within_ns"
#: its line in the probe plan
PROBE = "device claim"

NO_KEY = f"{NO_CLAIMS}: umtrace does since 0.3"
NO_PROBE = f"{NO_CLAIMS}: it takes a tier with BPF programs at functions"
TOO_MANY = "more claims of one device followed an umount than are recorded"
LOST = "events were lost, and a claim may be among them"
NO_CALL = "it is unknown which system calls claimed devices"

#: numbers on x86-64 of what finds the superblock that is still there, and shares it or waits
_MOUNTS = (165, 431)  # mount, fsconfig
_IOCTL, _LOOP = 16, 7  # of a loop device: a bound one is not taken for the next image
#: functions whose probes the events are from
_NEEDED = ("bd_prepare_to_claim", "cleanup_mnt", "umount_tree")
_COLUMNS = ("ts_ns", "tid", "kind", "ret", "a", "b")


def within_of(plan: Sequence[PlanLine], tier: str) -> int | None:
    """Return what meta.json has under `KEY` for a source of this plan and tier."""
    seen = any(line.meaning == PROBE and line.state == "ok" for line in plan)
    return WITHIN_NS if seen and tier_named(tier).sees_claims else None


def recorded_claims(selection: Selection) -> Claims:
    """Return the claims of a recording; those by mount(2) and fsconfig(2) get no EBUSY.

    They find the superblock that is still there. So does the ioctl(2) that gives a loop device its
    image, as a device that is bound is not chosen.
    """
    recording = selection.recording
    if KEY not in recording.meta.extra:
        return unknown(NO_KEY)
    if recording.meta.extra[KEY] != WITHIN_NS:
        return unknown(NO_PROBE)
    problems = len(recording.problems)
    claims, downs = _events(recording)
    if _may_lack_one(recording.losses) or len(recording.problems) > problems:
        return unknown(LOST)
    if (claims["a"] == 0).any():
        return unknown(TOO_MANY)
    if (claims["ret"] == 0).any():
        return unknown(NO_CALL)
    return _claims(_busy_makers(claims), downs, selection)


def _may_lack_one(losses: LossReport) -> bool:
    """Whether a claim may have happened that is in no event."""
    if losses.probe_misses and losses.probe_misses_by is None:
        return True
    by = losses.probe_misses_by or {}
    return bool(losses.ring_events) or any(name.endswith(_NEEDED) for name in by)


def _claims(
    claims: dict[str, Int64], downs: dict[str, Int64] | None, selection: Selection
) -> Claims:
    offset = selection.recording.meta.clock.offset_ns
    both = [claims["b"]] if downs is None else [claims["b"], downs["b"]]
    numbers, codes = np.unique(np.concatenate(both), return_inverse=True)
    codes = codes.astype(np.int64)
    many = claims["b"].size
    return Claims(
        at=claims["ts_ns"] + offset,
        dev=codes[:many],
        devs=tuple(map(device_name, numbers.tolist())),
        shutdowns=None
        if downs is None
        else Shutdowns(at=downs["ts_ns"] + offset, dev=codes[many:], tid=downs["tid"]),
        whole=selection.is_whole,
    )


def _busy_makers(claims: dict[str, Int64]) -> dict[str, Int64]:
    """Return the claims that get EBUSY where the superblock is still there."""
    call, major = claims["ret"] - 1, claims["b"] >> MINOR_BITS
    shares = np.isin(call, _MOUNTS) | ((call == _IOCTL) & (major == _LOOP))
    return {name: values[~shares] for name, values in claims.items()}


def _events(recording: Recording) -> tuple[dict[str, Int64], dict[str, Int64] | None]:
    """Return the claims, and the shutdowns of block devices; None if no shutdown was seen at all.

    Most recordings have no claim. So of these only one column is read.
    """
    kinds = [_of(batch, ("kind",))["kind"] for batch in _read(recording, ("kind",))]
    counts = np.bincount(
        np.concatenate([*kinds, np.empty(0, np.int64)]), minlength=Kind.CLAIMED + 1
    )
    sees_all = bool(counts[Kind.CLEANUP])
    parts = []
    if counts[Kind.CLAIMED]:
        parts = [_chosen(_of(batch, _COLUMNS)) for batch in _read(recording, _COLUMNS)]
    events = {
        name: np.concatenate([*(part[name] for part in parts), np.empty(0, np.int64)])
        for name in _COLUMNS
    }
    claimed = events["kind"] == Kind.CLAIMED
    claims = {name: values[claimed] for name, values in events.items()}
    downs = {name: values[~claimed] for name, values in events.items()} if sees_all else None
    return claims, downs


def _read(recording: Recording, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    return recording.batches("events", columns=columns)


def _of(batch: pa.RecordBatch, columns: Sequence[str]) -> dict[str, Int64]:
    return {name: integers(batch.column(name)) for name in columns}


def _chosen(events: dict[str, Int64]) -> dict[str, Int64]:
    """Return the claims, and the last puts of superblocks that have a device."""
    down = (events["kind"] == Kind.CLEANUP) & (events["a"] <= 1) & (events["b"] >> MINOR_BITS > 0)
    down &= events["a"] >= 0
    at = down | (events["kind"] == Kind.CLAIMED)
    return {name: values[at] for name, values in events.items()}
