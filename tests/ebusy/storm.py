"""10,000 umounts a second as events: each mount busy once, freed 1 ms later, unmounted after 50.

``python -m tests.ebusy.storm [SECONDS]`` prints the windows, the CPU time and the memory.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from bench.memory import peak_kib, reset_peak
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import EVENT_DTYPE, FOREIGN, IS_TARGET, EventBatch, Kind
from umtrace.pipeline.ebusy import EbusyStage

PER_TICK = 250
TICK_NS = 50_000_000
DEV = 0x2B
_BUSY = (
    (Kind.ENTER, 0, 0, 0, 0),
    (Kind.PATH_UMOUNT, 1, 0, 0, 0),
    (Kind.MOUNT, 2, 0, "id", DEV),
    (Kind.CHECK, 3, 0, 0, 0),
    (Kind.CHECKED, 4, 1, 3, 0),
    (Kind.UNLOCK, 5, 0, 0, 0),
    (Kind.UNLOCK_EXIT, 6, 0, 0, 0),
    (Kind.PATH_UMOUNT_EXIT, 7, -16, 0, 3),
    (Kind.EXIT, 8, -16, 0, 0),
)
_GOOD = (
    (Kind.ENTER, 0, 0, 0, 0),
    (Kind.PATH_UMOUNT, 1, 0, 0, 0),
    (Kind.MOUNT, 2, 0, "id", DEV),
    (Kind.CHECK, 3, 0, 0, 0),
    (Kind.CHECKED, 4, 0, 2, 0),
    (Kind.TREE, 5, 3, 0, 0),
    (Kind.UNLOCK, 6, 0, 1, 0),
    (Kind.RCU, 7, 0, 0, 0),
    (Kind.RCU_EXIT, 30, 0, 0, 0),
    (Kind.UNLOCK_EXIT, 31, 0, 0, 0),
    (Kind.PATH_UMOUNT_EXIT, 32, 0, 0, 0),
    (Kind.EXIT, 33, 0, 0, 0),
    (Kind.CLEANUP, 34, IS_TARGET, 1, DEV),
    (Kind.CLEANUP_EXIT, 40, 0, 0, 0),
    (Kind.RETURNED, 41, 0, 1, 0),
)


def tick(number):
    """Return one tick's events: the mounts of this one busy, those of the last unmounted."""
    parts = [_calls(number, number, _BUSY, 100), _puts(number)]
    if number:
        parts.append(_calls(number, number - 1, _GOOD, 1000))
    events = np.concatenate(parts)
    return EventBatch(events[np.argsort(events["ts_ns"], kind="stable")])


def _mounts(of):
    ids = of * PER_TICK + np.arange(PER_TICK, dtype=np.uint64) + np.uint64(1)
    return ids, np.uint64(0xFFFF888000000000) + ids % np.uint64(65536) * np.uint64(320)


def _begin(number):
    return 10**12 + number * TICK_NS + np.arange(PER_TICK, dtype=np.uint64) * np.uint64(150_000)


def _calls(number, of, steps, tid):
    ids, mounts = _mounts(of)
    begin = _begin(number) + np.uint64(2_000_000 * (tid > 500))
    events = np.zeros((PER_TICK, len(steps)), EVENT_DTYPE)
    for at, (kind, after_us, ret, a, b) in enumerate(steps):
        event = events[:, at]
        event["ts_ns"], event["kind"] = begin + np.uint64(after_us * 1000), kind
        event["ret"], event["a"], event["b"] = ret, ids if a == "id" else a, b
        event["mnt"], event["seq"] = mounts, begin.astype(np.uint32) + np.uint32(at)
    events["tid"] = events["tgid"] = tid + np.arange(PER_TICK)[:, None] % 8
    return events.reshape(-1)


def _puts(number):
    events = np.zeros(PER_TICK, EVENT_DTYPE)
    events["ts_ns"], events["mnt"] = _begin(number) + np.uint64(1_000_000), _mounts(number)[1]
    events["kind"], events["tid"], events["tgid"], events["b"] = Kind.PUT, 9, 9, 2
    events["cpu"], events["comm"] = FOREIGN, b"stat"
    return events


def pump(seconds):
    """Return umounts, right windows, all windows, CPU seconds, and KiB grown after a second."""
    correlator = UmountCorrelator(clock_offset_ns=0, tier="fentry")
    stage, found, umounts, right, memory = EbusyStage(), 0, 0, 0, 0
    begin = time.process_time()
    for number in range(seconds * 10**9 // TICK_NS):
        batch = tick(number)
        rows = correlator.feed(batch)
        windows = stage.feed(rows, batch.events).windows
        umounts, found = umounts + rows.num_rows, found + len(windows)
        right += sum(_is_right(window) for window in windows)
        if number == 10**9 // TICK_NS:
            memory = reset_peak()
    grown = peak_kib() - memory
    return umounts, right, found, time.process_time() - begin, grown


def _is_right(window):
    freed = window.first_success_bound == "exact" and abs(window.first_success_ns - 10**6) < 10**4
    return window.klass == "transient-ref" and window.spurious is True and freed


if __name__ == "__main__":
    done, good, every, cpu, kib = pump(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    sys.stdout.write(
        f"{done} umounts, {every} windows, {good} right, {cpu:.1f} s of CPU "
        f"({1e6 * cpu / done:.0f} us a umount), memory grown by {kib / 1024:.1f} MiB\n"
    )
