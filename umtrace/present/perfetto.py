"""Umounts as a Perfetto trace: a track per task, its phases as slices; EBUSY, RCU, teardowns apart.

Protocol buffers rather than Chrome's JSON: times stay exact (JSON has floating-point µs),
and tracks have names and parents. The field numbers are those of Perfetto's
``protos/perfetto/trace``. Perfetto's own classes could write it as well, but are one more
package for users to install, for the sake of two dozen fields.

A packet is small: names and values of arguments are numbers that a table of the trace
explains, times are differences, and the clock is a default of the sequence. Packets are deflated,
which takes four fifths of what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import pyarrow as pa

from umtrace.model.clock import ClockPair
from umtrace.model.umounts import Use, columns_with
from umtrace.present.names import phase_name
from umtrace.present.packets import Packets
from umtrace.present.protobuf import message, number, text
from umtrace.present.teardowns import owner_text, step_text
from umtrace.present.terminal import clean
from umtrace.stats.columns import START, plain_rows
from umtrace.stats.placement import PLACED, place
from umtrace.stats.summarize import LATENCY, RCU, errno_name
from umtrace.teardowns import Teardown

#: arguments of an umount; its path is in its name
_ARGS = tuple(name for name in columns_with(Use.SHOWN) if name != "path")
#: columns of the rows that are read
COLUMNS = tuple(
    dict.fromkeys(
        ("id", START, LATENCY, "errno", "pid", "tid", "comm", "path", "rcu_kind", *_ARGS, *PLACED)
    )
)
_OTHER = "other_ns"  #: the rest of an umount, which no slice below it covers


def write_perfetto(
    out: BinaryIO,
    clock: ClockPair,
    rows: Iterable[pa.RecordBatch],
    windows: Iterable[Mapping[str, Any]] = (),
    teardowns: Iterable[Teardown] = (),
    *,
    rcu_track: bool = False,
) -> int:
    """Write a trace; return the number of umounts in it.

    Parameters
    ----------
    clock : ClockPair
        Of the recording: the trace runs on CLOCK_MONOTONIC, and shows wall clock time.
    rows : iterable of RecordBatch
        Umount rows with at least `COLUMNS`; one of unknown latency is left out.
    windows : iterable of mapping
        EBUSY windows as plain values, ``begin`` in ns.
    teardowns : iterable of Teardown
        Each is a slice, with the steps of its critical path inside.
    rcu_track : bool
        Whether the RCU waits of all tasks are on tracks of their own, too.
    """
    trace = _Trace(out, clock, rcu_track=rcu_track)
    written = 0
    for batch in rows:
        written += trace.umounts(batch)
    for window in windows:
        trace.window(window)
    for teardown in teardowns:
        trace.teardown(teardown)
    trace.finish()
    return written


class _Trace:
    """Makes slices of umounts and windows; a track is described when it is first used."""

    def __init__(self, out: BinaryIO, clock: ClockPair, *, rcu_track: bool) -> None:
        self._packets = Packets(out, clock)
        self._offset = clock.offset_ns
        self._tracks: dict[object, int] = {}
        self._rcu = _Lanes() if rcu_track else None
        self._ebusy = _Lanes()
        self._downs = _Lanes()

    def finish(self) -> None:
        """Write what is left."""
        self._packets.finish()

    def umounts(self, batch: pa.RecordBatch) -> int:
        """Write the umounts of a batch."""
        begins, ends = place(batch)
        written = 0
        for index, row in enumerate(plain_rows([batch])):
            if row[LATENCY] is None or row[START] is None:
                continue
            spans = zip(PLACED, begins[:, index].tolist(), ends[:, index].tolist(), strict=True)
            self._umount(row, [span for span in spans if span[2] > span[1]])
            written += 1
        return written

    def _umount(self, row: Mapping[str, Any], spans: list[tuple[str, int, int]]) -> None:
        track, start = self._task(row), row[START] - self._offset
        args = {name: row[name] for name in _ARGS if row[name] is not None}
        if row["errno"]:
            args["errno"] = errno_name(row["errno"])
        self._packets.begin(track, start, f"umount {clean(row['path'] or '')}".strip(), args)
        for name, begin, end in spans:
            if name == _OTHER:
                continue
            self._slice(track, start + begin, start + end, phase_name(name))
            if name == RCU and self._rcu is not None:
                self._rcu_wait(self._rcu, row, start + begin, start + end)
        self._packets.end(track, start + row[LATENCY])

    def _rcu_wait(self, lanes: _Lanes, row: Mapping[str, Any], begin: int, end: int) -> None:
        lane = lanes.take(begin, end)
        track = self._track(("rcu", lane), "RCU waits", parent=self._group("RCU waits"))
        note = {"umount_id": row["id"], "kind": row["rcu_kind"] or "unknown"}
        self._slice(track, begin, end, clean(row["comm"] or "RCU wait"), note)

    def window(self, window: Mapping[str, Any]) -> None:
        """Write an EBUSY window; one whose end is unknown is a moment."""
        if window.get("begin") is None:
            return
        begin = window["begin"] - self._offset
        end = begin + (window.get("duration_ns") or 0)
        lane = self._ebusy.take(begin, end)
        track = self._track(("ebusy", lane), "EBUSY windows", parent=self._group("EBUSY windows"))
        args = {k: v for k, v in window.items() if v is not None and k not in {"begin", "end"}}
        name = f"{window.get('class') or 'EBUSY'} {clean(str(window.get('path') or ''))}".strip()
        self._slice(track, begin, end, name, args)

    def teardown(self, teardown: Teardown) -> None:
        """Write a teardown: the steps of its critical path are slices inside its own."""
        begin, end = teardown.begin - self._offset, teardown.end - self._offset
        lane = self._downs.take(begin, end)
        track = self._track(("down", lane), "Teardowns", parent=self._group("Teardowns"))
        known = {k: v for k, v in teardown.numbers().items() if v is not None}
        args = {k: v for k, v in known.items() if k not in {"begin", "end", "path"}}
        self._packets.begin(
            track, begin, owner_text(teardown.owner.kind, teardown.owner.name), args
        )
        ids = teardown.scene.of("id")
        for step in teardown.path:
            note = {"umount_id": int(ids[step.row]), "link": step.link.value}
            name = step_text(teardown.scene, step)
            low, high = step.begin - self._offset, step.end - self._offset
            self._slice(track, low, high, name, note)
        self._packets.end(track, end)

    def _task(self, row: Mapping[str, Any]) -> int:
        pid, tid, comm = row["pid"] or 0, row["tid"] or 0, clean(row["comm"] or "")
        process = self._tracks.get(("process", pid))
        if process is None:
            process = self._new(("process", pid))
            self._describe(process, message(3, number(1, pid), text(6, comm)))
        thread = self._tracks.get(("thread", pid, tid))
        if thread is None:
            thread = self._new(("thread", pid, tid))
            described = message(4, number(1, pid), number(2, tid), text(5, comm))
            self._describe(thread, number(5, process), described)
        return thread

    def _group(self, name: str) -> int:
        return self._track(("group", name), name)

    def _track(self, key: object, name: str, parent: int | None = None) -> int:
        track = self._tracks.get(key)
        if track is None:
            track = self._new(key)
            above = [] if parent is None else [number(5, parent)]
            self._describe(track, text(2, clean(name)), *above)
        return track

    def _new(self, key: object) -> int:
        self._tracks[key] = len(self._tracks) + 1
        return self._tracks[key]

    def _describe(self, track: int, *fields: bytes) -> None:
        self._packets.describe(message(60, number(1, track), *fields))

    def _slice(
        self,
        track: int,
        begin: int,
        end: int,
        name: str,
        args: Mapping[str, object] | None = None,
    ) -> None:
        self._packets.begin(track, begin, name, args or {})
        self._packets.end(track, end)


class _Lanes:
    """Gives intervals lanes so that no two of a lane overlap."""

    def __init__(self) -> None:
        self._ends: list[int] = []

    def take(self, begin: int, end: int) -> int:
        for lane, free in enumerate(self._ends):
            if free <= begin:
                self._ends[lane] = end
                return lane
        self._ends.append(end)
        return len(self._ends) - 1
