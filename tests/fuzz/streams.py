"""Event streams: valid records with wrong values, lost, doubled and swapped ones."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.arrow import integers
from umtrace.model.events import EVENT_DTYPE, FOREIGN, EventBatch, Kind
from umtrace.model.holders import Holder, HolderScan
from umtrace.model.tiers import names
from umtrace.model.windows import windows_to_arrow
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.recording import Recording
from umtrace.stats.summarize import summarize

BUNDLED = Path(__file__).parents[2] / "recordings"
AT_ONCE = 100  # inputs of one run of the correlator: each is the life of one task
_LONGEST = 60
_TIERS = (*names(), "newer")
_WORDS = (0, 1, 2, 3, 7, 16, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
_COMMS = (b"", b"umount", b"\xff\xfe\x00x", b"sixteen bytes ok", b"fuse.x", b"\x1b[31m")
_STEPS = (0, 1, 999, 10**6, 5 * 10**9, 10**12, 2**60)


@cache
def pool() -> list[np.ndarray]:
    """Return the events of some tasks of the bundled recordings, operation by operation."""
    found: list[np.ndarray] = []
    for path in sorted(BUNDLED.glob("*.umt")):
        events = np.concatenate([b.events for b in Recording.open(path).event_batches()])[:20_000]
        order = np.argsort(events["tid"], kind="stable")
        for life in np.split(events[order], np.flatnonzero(np.diff(events["tid"][order])) + 1):
            found += [life[at : at + _LONGEST] for at in range(0, len(life), _LONGEST)]
    return [life for life in found if len(life) > 1]


def one_life(rng: random.Random, tid: int) -> np.ndarray:
    """Return the mutated events of one task: an input."""
    events = rng.choice(pool()).copy()
    events["tid"] = tid
    events["tgid"] = tid if rng.random() < 0.9 else rng.choice((0, 1, tid - 1))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5))):
        events = rng.choice(_MUTATIONS)(rng, events)
        if not len(events):
            break
    return events


def _drop(rng, events):
    return np.delete(events, slice(at := rng.randrange(len(events)), at + rng.choice((1, 1, 3))))


def _double(rng, events):
    at = rng.randrange(len(events))
    return np.insert(events, rng.randrange(len(events) + 1), events[at])


def _swap(rng, events):
    one, other = rng.randrange(len(events)), rng.randrange(len(events))
    events[[one, other]] = events[[other, one]]
    return events


def _cut(rng, events):
    at = rng.randrange(len(events))
    return events[at:] if rng.random() < 0.5 else events[:at]


def _join(rng, events):
    more = rng.choice(pool()).copy()
    more["tid"], more["tgid"] = events[0]["tid"], events[0]["tgid"]
    return np.concatenate([events, more])


def _rekind(rng, events):
    kinds = (*Kind, 0, 99, 65535)
    events["kind"][rng.randrange(len(events))] = rng.choice(kinds)
    return events


def _word(rng, events):
    field = rng.choice(("mnt", "tgid", "cpu", "ret", "a", "b", "seq"))
    value = rng.choice((*_WORDS, rng.getrandbits(64)))
    if rng.random() < 0.3:
        value = int(events[field][rng.randrange(len(events))])  # of another event: it may fit
    whole = np.array([value % 2**64], np.uint64).view(f"V{8}")[0]
    where = rng.randrange(len(events)) if rng.random() < 0.7 else slice(None)
    dtype = EVENT_DTYPE[field]
    events[field][where] = np.frombuffer(whole.tobytes()[: dtype.itemsize], dtype)[0]
    return events


def _comm(rng, events):
    events["comm"][rng.randrange(len(events))] = rng.choice(_COMMS)
    return events


def _later(rng, events):
    at, step = rng.randrange(len(events)), rng.choice(_STEPS)
    if rng.random() < 0.2:
        events["ts_ns"][at] = rng.choice((0, 1, 2**61))
    elif rng.random() < 0.5:
        events["ts_ns"][at:] += np.uint64(step)
    else:
        events["ts_ns"][at] -= min(np.uint64(step), events["ts_ns"][at])
    return events


def _foreign(rng, events):
    events["cpu"][rng.randrange(len(events))] |= FOREIGN
    return events


_MUTATIONS = (
    *(_drop, _double, _swap, _cut, _join, _rekind, _rekind, _word, _word, _word, _comm),
    *(_later, _later, _foreign),
)


def scans(rng: random.Random) -> list[HolderScan]:
    """Return looks that may be of rows that there are."""
    return [
        HolderScan(
            umount_id=rng.randrange(AT_ONCE),
            path="/m",
            begin_ns=rng.randrange(2**60),
            end_ns=rng.randrange(2**60),
            mounted=rng.choice((None, True, False)),
            dev=rng.choice((None, "0:40", "x")),
            holders=tuple(
                Holder(kind=rng.choice(("fd", "swap", "odd")), pid=rng.choice((None, 1)))
                for _ in range(rng.randrange(3))
            ),
            blind=rng.choice(((), ("fds of 1",))),
        )
        for _ in range(rng.randrange(4))
    ]


def run(rng: random.Random, count: int) -> None:
    """Turn ``count`` inputs into rows and windows; raises where anything is wrong."""
    lives = [one_life(rng, 1000 + number) for number in range(count)]
    events = np.concatenate(lives)
    # what a reader lets through, see recording.plausible
    events["ts_ns"] = np.minimum(events["ts_ns"], np.uint64(2**61))
    if rng.random() < 0.7:
        events = events[np.argsort(events["ts_ns"], kind="stable")]
    offset = rng.choice((0, 1, 10**18, 1_767_225_600 * 10**9))
    correlator = UmountCorrelator(clock_offset_ns=offset, tier=rng.choice(_TIERS))
    stage = EbusyStage(offset_ns=offset, recorded=scans(rng), previews=rng.random() < 0.3)
    cuts = sorted(rng.randrange(len(events) + 1) for _ in range(rng.randrange(4)))
    rows, windows = [], []
    for part in np.split(events, cuts):
        rows.append(correlator.feed(EventBatch(part)))
        windows += stage.feed(rows[-1], part).windows
    rows.append(correlator.finish())
    windows += stage.feed(rows[-1]).windows + stage.finish().windows
    for batch in (*rows, windows_to_arrow(windows)):
        check(batch)
    summarize(rows, by=("mode", "errno"))


def check(batch: pa.RecordBatch) -> None:
    """Hold rows to what is true of all: no time before the beginning, no end before a begin."""
    batch.validate(full=True)
    for field in batch.schema:
        if pa.types.is_timestamp(field.type) or field.name.endswith("_ns"):
            least = int(integers(batch.column(field.name)).min(initial=0))
            assert least >= 0, f"{field.name} is {least}"
    if "complete" in batch.schema.names:
        complete = batch.filter(batch.column("complete"))
        for name in ("t_start", "incomplete_why"):
            unknown = complete.column(name).null_count
            assert unknown == (0 if name == "t_start" else len(complete)), f"complete, {name}"
