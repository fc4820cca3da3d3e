"""The state of an operation of one task, and its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from umtrace.model.events import NESTED, Kind
from umtrace.sources.ftrace.batches import WORD, EventTuple, event_of
from umtrace.sources.ftrace.records import Record

UNKNOWN = 0xFFFFFFFFFFFFFFFF


class Phase(IntEnum):
    """Where a followed task is."""

    INSIDE = 1  #: in umount(2)
    LEAVING = 2  #: past it: task work may still run
    TEARDOWN = 3  #: taking mounts down outside umount(2)


@dataclass(slots=True)
class Operation:
    """One operation of one task; numbers its events, and holds back those that are incomplete."""

    tid: int
    tgid: int
    phase: Phase
    seq: int
    out: list[EventTuple]
    nested: bool = False  #: it began inside another operation of the task
    other: Operation | None = None  #: of the two operations of the task, the one that waits
    torn: bool = False  #: records may be missing, also those of a return
    in_umount: bool = False  #: in path_umount
    held: list[EventTuple] | None = None
    by_function: bool = False
    mnt: int = 0
    mntns: int = 0
    origin: int = 0
    # The busy check.
    in_check: bool = False
    counted: tuple[int, int] = (0, 0)  #: mount that is being counted, its namespace
    count: int = -1
    busy_ns: int = 0
    # The umount tree and the mntput loop.
    in_unlock: bool = False
    in_rcu: bool = False
    waited: bool = False  #: the grace period is over
    grace_period: int = 0  #: records.events.GracePeriod
    connected: bool = False
    roots: int = 0
    private: int = 0  #: mounts made private, which until 6.16 are all that are taken down
    puts: int = 0  #: references dropped by namespace_unlock
    finals: int = 0  #: last references dropped by this task
    finals_seen: int = 0  #: the same, where mnt_get_count() is inlined
    left: int = -1  #: references to ``mnt`` at the last count, -1 unknown
    file_puts: bool = False  #: a file that is closed still has to put its reference to ``mnt``
    cleaned: int = 0
    cleaning: list[int] = field(default_factory=list)
    last: Record | None = None  #: its last record once it is LEAVING

    def emit(
        self, kind: Kind, ts: int, cpu: int, *, ret: int = 0, a: int = 0, b: int = 0,
        comm: bytes = b"", mnt: int | None = None,
    ) -> None:  # fmt: skip
        """Add an event of this operation."""
        mount = self.mnt if mnt is None else mnt
        who = (self.tid, self.tgid)
        cpu |= NESTED if self.nested else 0
        event = event_of(kind, ts, cpu, who, mnt=mount, ret=ret, a=a, b=b, seq=self.seq, comm=comm)
        self.seq = (self.seq + 1) & WORD
        (self.out if self.held is None else self.held).append(event)

    def hold(self) -> None:
        """Send the events that are held back, and hold back the next ones until ``settle``."""
        self.settle()
        self.held = []

    def settle(self, *, a: int | None = None, b: int | None = None) -> None:
        """Send the events that are held back; the first one gets the fields that are known now."""
        held, self.held = self.held, None
        for index, event in enumerate(held or ()):
            if index == 0:
                words = (event[7] if a is None else a, event[8] if b is None else b)
                self.out.append((*event[:7], *words, *event[9:]))
            else:
                self.out.append(event)

    def skip(self) -> None:
        """Leave a sequence number out, which marks a lost event."""
        self.seq = (self.seq + 1) & WORD

    @property
    def both(self) -> tuple[Operation, ...]:
        """The operations that the task is in."""
        return (self,) if self.other is None else (self, self.other)

    @property
    def taken_down(self) -> int:
        """Number of mounts that namespace_unlock put; UNKNOWN if no record counted them."""
        if self.puts:
            return self.puts
        return (self.roots if self.connected else self.private) or UNKNOWN

    @property
    def is_clean(self) -> bool:
        """Whether every mount of which this task dropped the last reference is cleaned up."""
        finals = self.finals if self.puts else max(self.finals, self.finals_seen)
        return not self.cleaning and not self.file_puts and self.cleaned >= finals
