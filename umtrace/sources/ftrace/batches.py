"""Events and names on their way into a batch."""

from __future__ import annotations

import numpy as np

from umtrace.model.events import EVENT_DTYPE, NAME_DTYPE, EventBatch, Exit, Kind
from umtrace.sources.ftrace.names import Name
from umtrace.sources.ftrace.operation import EventTuple, event_of
from umtrace.sources.ftrace.records import Record


class Batches:
    """Collects; ``take`` gives what there is."""

    def __init__(self) -> None:
        self.events: list[EventTuple] = []
        self.names: list[Name] = []

    def alone(self, r: Record, tgid: int, ret: int) -> None:
        """Add the exit of an umount that began before the trace."""
        event = event_of(Kind.EXIT, r.ts_ns, r.cpu, (r.tid, tgid), mnt=0, ret=ret, a=Exit.ALONE)
        self.events.append(event)

    def take(self) -> EventBatch:
        """Return and forget everything."""
        events = np.array(self.events, EVENT_DTYPE)
        names = np.zeros(len(self.names), NAME_DTYPE)
        if self.names:
            names[:] = self.names
        self.events.clear()
        self.names.clear()
        return EventBatch(events, names)
