"""Reads a Perfetto trace with Perfetto's own classes, packet by packet in the order of the file."""

from __future__ import annotations

import zlib

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

CLEARED, NEEDS = 1, 2
BEGIN, END = 1, 2
MONOTONIC = 3


def parse(data):
    """Return a trace whose packets are all plain."""
    trace, plain = Trace(), Trace()
    trace.ParseFromString(data)
    for packet in trace.packet:
        if packet.HasField("compressed_packets"):
            plain.packet.extend(parse(zlib.decompress(packet.compressed_packets)).packet)
        else:
            plain.packet.append(packet)
    return plain


class Reader:
    """What a sequence of packets has said so far."""

    def __init__(self):
        self.tracks, self.stacks, self.found = {}, {}, []
        self.named, self.default, self.times = None, 0, {}

    def read(self, packet):
        """Take a packet in the order of the file."""
        if packet.sequence_flags & CLEARED:
            self.named = {"events": {}, "names": {}, "values": {}}
            self.default = packet.trace_packet_defaults.timestamp_clock_id
        for clock in packet.clock_snapshot.clocks:
            if clock.is_incremental:
                self.times[clock.clock_id] = clock.timestamp
        assert not packet.sequence_flags & NEEDS or self.named is not None
        data = packet.interned_data
        self.named["events"] |= {each.iid: each.name for each in data.event_names}
        self.named["names"] |= {each.iid: each.name for each in data.debug_annotation_names}
        values = {each.iid: each.str.decode() for each in data.debug_annotation_string_values}
        self.named["values"] |= values
        if packet.HasField("track_descriptor"):
            self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
        if packet.HasField("track_event"):
            assert packet.sequence_flags & NEEDS
            self.event(packet.track_event, self.time(packet))

    def time(self, packet):
        """Return the time of a packet on CLOCK_MONOTONIC."""
        clock = packet.timestamp_clock_id or self.default
        if clock == MONOTONIC:
            return packet.timestamp
        self.times[clock] += packet.timestamp
        return self.times[clock]

    def event(self, event, at):
        """Begin or end a slice."""
        stack = self.stacks.setdefault(event.track_uuid, [])
        assert event.track_uuid in self.tracks
        if event.type == BEGIN:
            notes = {self.named["names"][a.name_iid]: a for a in event.debug_annotations}
            args = {name: self.value(note) for name, note in notes.items()}
            stack.append((self.named["events"][event.name_iid], at, args))
        else:
            assert event.type == END
            name, begin, args = stack.pop()
            assert at >= begin
            self.found.append((event.track_uuid, name, begin, at, args))

    def value(self, note):
        """Return the value of an argument."""
        for name in ("bool_value", "int_value"):
            if note.HasField(name):
                return getattr(note, name)
        return self.named["values"][note.string_value_iid]


def read(trace):
    """Return the slices (track, name, begin, end, args) of a trace and its tracks by id."""
    reader = Reader()
    for packet in trace.packet:
        reader.read(packet)
    assert not any(reader.stacks.values()), "each slice ends"
    return reader.found, reader.tracks
