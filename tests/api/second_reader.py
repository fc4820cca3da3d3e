"""Reads a Perfetto trace with nothing that umtrace, Perfetto or `trace_reader` has.

pure-protobuf decodes the bytes, in Python, by the fields below. Events are sorted by their
times before begins and ends are paired, as trace_processor does; `trace_reader` takes them as
they come.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Annotated

from pure_protobuf.annotations import Field, uint
from pure_protobuf.message import BaseMessage


@dataclass
class Clock(BaseMessage):
    clock_id: Annotated[uint | None, Field(1)] = None
    timestamp: Annotated[uint | None, Field(2)] = None
    is_incremental: Annotated[bool, Field(3)] = False


@dataclass
class ClockSnapshot(BaseMessage):
    clocks: Annotated[list[Clock], Field(1)] = field(default_factory=list)


@dataclass
class Annotation(BaseMessage):
    name_iid: Annotated[uint | None, Field(1)] = None
    bool_value: Annotated[bool | None, Field(2)] = None
    int_value: Annotated[int | None, Field(4)] = None
    string_value_iid: Annotated[uint | None, Field(17)] = None


@dataclass
class TrackEvent(BaseMessage):
    annotations: Annotated[list[Annotation], Field(4)] = field(default_factory=list)
    type: Annotated[uint | None, Field(9)] = None
    name_iid: Annotated[uint | None, Field(10)] = None
    track_uuid: Annotated[uint | None, Field(11)] = None


@dataclass
class Text(BaseMessage):
    iid: Annotated[uint | None, Field(1)] = None
    text: Annotated[bytes, Field(2)] = b""


@dataclass
class InternedData(BaseMessage):
    events: Annotated[list[Text], Field(2)] = field(default_factory=list)
    names: Annotated[list[Text], Field(3)] = field(default_factory=list)
    values: Annotated[list[Text], Field(29)] = field(default_factory=list)


@dataclass
class Defaults(BaseMessage):
    clock: Annotated[uint | None, Field(58)] = None


@dataclass
class Packet(BaseMessage):
    snapshot: Annotated[ClockSnapshot | None, Field(6)] = None
    timestamp: Annotated[uint | None, Field(8)] = None
    event: Annotated[TrackEvent | None, Field(11)] = None
    interned: Annotated[InternedData | None, Field(12)] = None
    flags: Annotated[uint | None, Field(13)] = None
    compressed: Annotated[bytes | None, Field(50)] = None
    clock: Annotated[uint | None, Field(58)] = None
    defaults: Annotated[Defaults | None, Field(59)] = None


@dataclass
class Trace(BaseMessage):
    packets: Annotated[list[Packet], Field(1)] = field(default_factory=list)


def slices(data):
    """Return the slices (track, name, begin, end, args) of a trace, in no order."""
    by_track = defaultdict(list)
    for at, event, texts in _events(_packets(data)):
        by_track[event.track_uuid].append((at, event, texts))
    found = []
    for track, events in by_track.items():
        found += [(track, *each) for each in _pairs(sorted(events, key=lambda each: each[0]))]
    return found


def _packets(data):
    for packet in Trace.loads(data).packets:
        yield from (
            [packet] if packet.compressed is None else _packets(zlib.decompress(packet.compressed))
        )


def _events(packets):
    """Yield each event with its time on CLOCK_MONOTONIC, and the texts it may name."""
    texts, passed, default = {}, 0, None
    for packet in packets:
        if packet.flags == 1:
            texts, default = {}, packet.defaults.clock
        for clock in packet.snapshot.clocks if packet.snapshot else ():
            passed = clock.timestamp if clock.clock_id == default else passed
        if packet.interned:
            for table, added in vars(packet.interned).items():
                texts |= {(table, each.iid): each.text.decode() for each in added}
        if packet.event:
            on_its_own = packet.clock is not None
            passed += 0 if on_its_own else packet.timestamp
            yield packet.timestamp if on_its_own else passed, packet.event, texts


def _pairs(events):
    """Yield (name, begin, end, args) of the events of a track."""
    begun = []
    for at, event, texts in events:
        if event.type == 1:
            args = {texts["names", a.name_iid]: _value(a, texts) for a in event.annotations}
            begun.append((texts["events", event.name_iid], at, args))
        else:
            name, begin, args = begun.pop()
            yield name, begin, at, args
    assert not begun, "each slice ends"


def _value(note, texts):
    values = (note.bool_value, note.int_value, texts.get(("values", note.string_value_iid)))
    (value,) = (each for each in values if each is not None)
    return value
