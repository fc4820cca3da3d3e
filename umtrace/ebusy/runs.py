"""A run: the EBUSYs of one mount and the umount that ended them, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from umtrace.ebusy.attempts import Attempt, Key
from umtrace.model.evidence import Check, Walk
from umtrace.model.holders import HolderScan

_MOST_SCANS = 32
_MOST_BELOW = 8
_MOST_TASKS = 4096


@dataclass(slots=True)
class Run:
    """What happened to one mount from its first EBUSY on.

    ``over`` is the attempt that ended it, which may have failed in another way; None if there was
    no later attempt.
    """

    key: Key
    first: Attempt
    last: Attempt
    over: Attempt | None = None
    why_over: str = ""
    attempts: int = 0
    busy: int = 0
    expiring: int = 0  #: attempts with EBUSY that were MNT_EXPIRE calls
    cost_ns: int = 0
    scans: list[HolderScan] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    below: list[Attempt] = field(default_factory=list)  #: umounts of mounts below
    walks: list[Walk] = field(default_factory=list)
    mnt: int | None = None
    #: from when on puts may not have been seen, CLOCK_MONOTONIC; None: they all were
    unseen_ns: int | None = None
    #: up to when walks are known, and when other mounts were found busy, CLOCK_MONOTONIC
    known_until_ns: int = 0
    others_busy_ns: tuple[int, ...] = ()
    awaited: int = 0  #: scans that are still to come
    tids: set[int] = field(default_factory=set)  #: tasks that called umount(2)

    @classmethod
    def begun_by(cls, attempt: Attempt) -> Run:
        """Begin a run with an EBUSY."""
        run = cls(attempt.key, attempt, attempt)
        run.add(attempt)
        return run

    def add(self, attempt: Attempt) -> None:
        """Count one more call with EBUSY."""
        self.attempts += 1
        self.cost_ns += attempt.latency_ns or 0
        if len(self.tids) < _MOST_TASKS:
            self.tids.add(attempt.tid)
        if attempt.busy:
            self.busy += 1
            self.expiring += attempt.expiring
            self.last = attempt

    def end_with(self, attempt: Attempt) -> None:
        """Close the run with the first call without EBUSY."""
        self.add(attempt)
        self.over = attempt

    def add_scan(self, scan: HolderScan) -> None:
        """Add a scan; a long run keeps the first ones, and those after its end."""
        over = self.over is not None and scan.begin_ns >= self.over.t_start
        if over or len(self.scans) < _MOST_SCANS:
            self.scans.append(scan)

    def add_below(self, attempt: Attempt) -> None:
        """Add an umount of a path below that succeeded after the first EBUSY."""
        if attempt.t_start >= self.first.end_ns and len(self.below) < _MOST_BELOW:
            self.below.append(attempt)

    @property
    def success(self) -> Attempt | None:
        """The plain umount that succeeded."""
        return self.over if self.over is not None and self.over.proves_free else None

    @property
    def umounters(self) -> set[int]:
        """The tasks that tried to unmount it, which are no holders by their own references."""
        back = {walk.tid for walk in self.walks if walk.what == "returned"}
        return self.tids | back | {check.tid for check in self.checks}

    @property
    def end_ns(self) -> int:
        """The begin of the first call without EBUSY, or the end of the last EBUSY, ns."""
        return self.over.t_start if self.over is not None else self.last.end_ns

    def seen_until(self, ts_ns: int) -> bool:
        """Whether all was seen until then, CLOCK_MONOTONIC."""
        return self.unseen_ns is None or ts_ns < self.unseen_ns

    def alone(self, begin_ns: int, end_ns: int) -> bool:
        """Whether all was seen in between, and no other mount busy: its watch might end this one.

        Times are CLOCK_MONOTONIC.
        """
        others = any(begin_ns <= at <= end_ns for at in self.others_busy_ns)
        return end_ns <= self.known_until_ns and self.seen_until(end_ns) and not others

    def timely_scans(self) -> list[HolderScan]:
        """Return the scans made while the mount was still in the state of the EBUSYs."""
        return [s for s in self.scans if self.over is None or s.begin_ns < self.over.t_start]

    def below_from_the_start(self) -> list[Attempt]:
        """Return the umounts of mounts below that may have been there at the first EBUSY.

        If a scan began between the two, it has shown such a mount, and the window is decided
        already.
        """
        scans = [s.begin_ns for s in self.timely_scans() if s.mounted]
        return [b for b in self.below if not any(at < b.t_start for at in scans)]

    def late_scans(self) -> list[HolderScan]:
        """Return the scans made when the run was over already."""
        return [s for s in self.scans if self.over is not None and s.begin_ns >= self.over.t_start]
