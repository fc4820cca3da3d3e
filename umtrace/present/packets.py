"""The packets of a Perfetto trace: interned texts, and times as differences.

A time is a difference from the packet before, on a clock of the sequence (64) that follows
CLOCK_MONOTONIC. So events are sorted before they are written, some thousands at a time. One that
is earlier than what was written has its time on CLOCK_MONOTONIC itself.

The packets are written in blocks, each deflated into a packet of its own (``compressed_packets``),
as Perfetto's own recorder can. Only the first packet, by which readers know a trace, is plain.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from operator import itemgetter
from typing import BinaryIO

from umtrace.model.clock import ClockPair
from umtrace.present.protobuf import message, number, text
from umtrace.present.terminal import clean

_REALTIME, _MONOTONIC, _DIFFERENCES = 1, 3, 64
_BEGIN, _END = 1, 2
_SEQUENCE = number(10, 1)
_CLEARED, _NEEDS = number(13, 1), number(13, 2)
_DEFAULTS = message(59, number(58, _DIFFERENCES))
_ON_MONOTONIC = number(58, _MONOTONIC)
_COMPRESSED = 50  #: field of a packet that holds a block of deflated packets
#: fields of InternedData
_EVENT_NAMES, _ARGUMENT_NAMES, _VALUES = 2, 3, 29
_MOST_SORTED = 1 << 16  #: events
_MOST_TEXTS = 1 << 16  #: then the tables begin anew
_BLOCK = 1 << 19  #: bytes before they are deflated


class Packets:
    """Writes events and descriptions of tracks, in some memory whatever their number."""

    def __init__(self, out: BinaryIO, clock: ClockPair) -> None:
        self._out = out
        self._clock = clock
        self._events: list[tuple[int, bytes]] = []
        self._texts: dict[tuple[int, str], int] = {}
        self._new: list[bytes] = []
        self._last = 0
        self._block = bytearray()
        self._clear()
        self._out.write(self._block)
        self._block.clear()

    def describe(self, descriptor: bytes) -> None:
        """Write the description of a track, before the events that are on it."""
        self._packet(descriptor)

    def begin(self, track: int, at: int, name: str, args: Mapping[str, object]) -> None:
        """Begin a slice; ``at`` is CLOCK_MONOTONIC, ns."""
        notes = b"".join(self._annotation(key, value) for key, value in args.items())
        named = number(10, self._iid(_EVENT_NAMES, name))
        self._add(at, message(11, number(9, _BEGIN), number(11, track), named, notes))

    def end(self, track: int, at: int) -> None:
        """End the slice of a track that began last."""
        self._add(at, message(11, number(9, _END), number(11, track)))

    def finish(self) -> None:
        """Write what is left."""
        self._sort()
        self._deflate()

    def _sort(self) -> None:
        """Make packets of the events that came so far, in the order of their times."""
        if self._new:
            self._packet(message(12, *self._new), _NEEDS)
            self._new.clear()
        for at, event in sorted(self._events, key=itemgetter(0)):
            if at >= self._last:
                self._packet(number(8, at - self._last), event, _NEEDS)
                self._last = at
            else:
                self._packet(number(8, at), _ON_MONOTONIC, event, _NEEDS)
        self._events.clear()
        if len(self._texts) > _MOST_TEXTS:
            self._clear()

    def _clear(self) -> None:
        """Begin the tables and the clock of the sequence anew."""
        monotonic, realtime = self._clock.monotonic_ns, self._clock.realtime_ns
        clocks = (
            message(1, number(1, _MONOTONIC), number(2, monotonic)),
            message(1, number(1, _REALTIME), number(2, realtime)),
            message(1, number(1, _DIFFERENCES), number(2, monotonic), number(3, 1)),
        )
        self._texts.clear()
        self._last = monotonic
        self._packet(message(6, *clocks, number(2, _MONOTONIC)), _CLEARED, _DEFAULTS)

    def _add(self, at: int, event: bytes) -> None:
        self._events.append((max(at, 0), event))
        if len(self._events) >= _MOST_SORTED:
            self._sort()

    def _iid(self, table: int, value: str) -> int:
        key = (table, clean(value))
        iid = self._texts.get(key)
        if iid is None:
            iid = self._texts[key] = len(self._texts) + 1
            self._new.append(message(table, number(1, iid), text(2, key[1])))
        return iid

    def _annotation(self, name: str, value: object) -> bytes:
        if isinstance(value, bool):
            held = number(2, int(value))
        elif isinstance(value, int):
            held = number(4, value)
        else:
            held = number(17, self._iid(_VALUES, str(value)))
        return message(4, number(1, self._iid(_ARGUMENT_NAMES, name)), held)

    def _packet(self, *fields: bytes) -> None:
        self._block += message(1, *fields, _SEQUENCE)
        if len(self._block) >= _BLOCK:
            self._deflate()

    def _deflate(self) -> None:
        """Write the packets of the block."""
        if self._block:
            self._out.write(message(1, message(_COMPRESSED, zlib.compress(self._block))))
            self._block.clear()
