"""Reads a Perfetto trace: what trace_processor does with the packets that umtrace writes.

`slices` works on the messages of any classes with Perfetto's field names. `generic` makes such
classes from the few fields below, so that a trace is read without Perfetto's package, too.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

CLEARED, NEEDS = 1, 2
BEGIN, END = 1, 2
MONOTONIC = 3
_INT, _TEXT, _BOOL = 4, 9, 8  # uint64, string, bool
#: message: field name: (number, type or message, repeated)
_FIELDS = {
    "Trace": {"packet": (1, "TracePacket", True)},
    "TracePacket": {
        "clock_snapshot": (6, "ClockSnapshot", False),
        "timestamp": (8, _INT, False),
        "trusted_packet_sequence_id": (10, _INT, False),
        "track_event": (11, "TrackEvent", False),
        "interned_data": (12, "InternedData", False),
        "sequence_flags": (13, _INT, False),
        "timestamp_clock_id": (58, _INT, False),
        "trace_packet_defaults": (59, "TracePacketDefaults", False),
        "track_descriptor": (60, "TrackDescriptor", False),
    },
    "TracePacketDefaults": {"timestamp_clock_id": (58, _INT, False)},
    "ClockSnapshot": {
        "clocks": (1, "Clock", True),
        "primary_trace_clock": (2, _INT, False),
    },
    "Clock": {
        "clock_id": (1, _INT, False),
        "timestamp": (2, _INT, False),
        "is_incremental": (3, _BOOL, False),
    },
    "TrackEvent": {
        "debug_annotations": (4, "DebugAnnotation", True),
        "type": (9, _INT, False),
        "name_iid": (10, _INT, False),
        "track_uuid": (11, _INT, False),
    },
    "DebugAnnotation": {
        "name_iid": (1, _INT, False),
        "bool_value": (2, _BOOL, False),
        "int_value": (4, 3, False),  # int64
        "string_value_iid": (17, _INT, False),
    },
    "InternedData": {
        "event_names": (2, "Named", True),
        "debug_annotation_names": (3, "Named", True),
        "debug_annotation_string_values": (29, "Text", True),
    },
    "Named": {"iid": (1, _INT, False), "name": (2, _TEXT, False)},
    "Text": {"iid": (1, _INT, False), "str": (2, 12, False)},  # bytes
    "TrackDescriptor": {
        "uuid": (1, _INT, False),
        "name": (2, _TEXT, False),
        "process": (3, "Process", False),
        "thread": (4, "Thread", False),
        "parent_uuid": (5, _INT, False),
    },
    "Process": {"pid": (1, _INT, False), "process_name": (6, _TEXT, False)},
    "Thread": {
        "pid": (1, _INT, False),
        "tid": (2, _INT, False),
        "thread_name": (5, _TEXT, False),
    },
}


def generic():
    """Return a class that reads a trace, made of the fields above."""
    file = descriptor_pb2.FileDescriptorProto(name="few.proto", package="few", syntax="proto2")
    for message, fields in _FIELDS.items():
        kind = file.message_type.add(name=message)
        for name, (number, of, repeated) in fields.items():
            field = kind.field.add(name=name, number=number, label=3 if repeated else 1)
            field.type = of if isinstance(of, int) else 11
            if not isinstance(of, int):
                field.type_name = f".few.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("few.Trace"))


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
