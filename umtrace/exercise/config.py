"""What to exercise: the counts of each scenario and the file system they use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from umtrace.model.errors import UsageError

#: Order in which the scenarios run, always. Those that fork a namespace come before
#: the shared mounts and the busy ones, of which they would otherwise hold copies.
ORDER: Final = (
    "sync",
    "lazy",
    "tasks",
    "ns-exit",
    "detach",
    "fd-close",
    "propagate",
    "busy",
)

#: Processes at the same time; more only wait for a CPU and for each other.
MOST_TASKS: Final = 1024
MOST_WALKERS: Final = 256

FSTYPES: Final = ("tmpfs", "ext4", "xfs")
TASK_MODES: Final = ("mixed", "sync", "lazy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExerciseConfig:
    """Counts of umounts per scenario; all zero does nothing but build and drop a namespace."""

    sync: int = 0  #: mounts taken down with umount2(path, 0)
    lazy: int = 0  #: mounts taken down with MNT_DETACH
    busy: int = 0  #: mounts with an open file: one umount2 each, EBUSY
    walkers: int = 0  #: processes that stat and open the mount a sync umount is about to take
    propagate: int = 0  #: copies that go with one sync umount
    ns_exit: int = 0  #: processes that leave a mount namespace behind when they exit
    detach: int = 0  #: mountpoints removed while another namespace has a mount there
    fd_close: int = 0  #: detached mounts that go with their descriptor
    tasks: int = 0  #: processes that mount and unmount at the same time
    duration_s: float = 1.0  #: how long the tasks do that
    task_mode: str = "mixed"  #: the tasks' umounts: sync, lazy, or both in turn
    files: int = 0  #: files made in each mount before its umount
    fstype: str = "tmpfs"
    hold_ms: float = 0.0  #: how long an open file outlives a lazy umount, or the last EBUSY

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        counts = ("sync", "lazy", "busy", "walkers", "propagate", "ns_exit", "tasks", "files")
        for name in (*counts, "detach", "fd_close", "duration_s", "hold_ms"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative")
        for name, most in (("tasks", MOST_TASKS), ("walkers", MOST_WALKERS)):
            if getattr(self, name) > most:
                raise UsageError(f"{name}: {most} at most")
        if self.fstype not in FSTYPES:
            raise UsageError(f"unknown file system {self.fstype!r}; one of {', '.join(FSTYPES)}")
        if self.task_mode not in TASK_MODES:
            raise UsageError(
                f"unknown task mode {self.task_mode!r}; one of {', '.join(TASK_MODES)}"
            )
        if self.walkers and not self.sync:
            raise UsageError("walkers walk into sync umounts: give --sync too")

    def to_json(self) -> dict[str, object]:
        """Return the fields, and the order in which the scenarios ran."""
        return {**asdict(self), "order": list(ORDER)}
