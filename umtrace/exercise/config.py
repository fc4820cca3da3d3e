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
    "layers",
    "propagate",
    "busy",
)

#: Processes at the same time; more only wait for a CPU and for each other.
MOST_TASKS: Final = 1024
MOST_WALKERS: Final = 256
MOST_MAKERS: Final = 64
MOST_NEIGHBOURS: Final = 256
#: layers of a container; the options of mount(2) have room for the paths of about so many
MOST_LAYERS: Final = 100

_MOST: Final = {
    "tasks": MOST_TASKS,
    "walkers": MOST_WALKERS,
    "layers": MOST_LAYERS,
    "makers": MOST_MAKERS,
    "neighbours": MOST_NEIGHBOURS,
}
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
    containers: int = 0  #: containers whose id-mapped layers are mounted for a moment, twice
    layers: int = 50  #: layers of each
    makers: int = 2  #: threads that make the containers
    neighbours: int = 1  #: other mount namespaces that get a copy of each layer
    holds: int = 0  #: layers whose umount fails for hold_ms
    duration_s: float = 1.0  #: how long the tasks do that
    task_mode: str = "mixed"  #: the tasks' umounts: sync, lazy, or both in turn
    files: int = 0  #: files made in each mount before its umount
    fstype: str = "tmpfs"
    hold_ms: float = 0.0  #: how long an open file outlives a lazy umount, or the last EBUSY

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        counts = ("sync", "lazy", "busy", "walkers", "propagate", "ns_exit", "tasks", "files")
        more = ("detach", "fd_close", "containers", "neighbours", "holds", "duration_s", "hold_ms")
        for name in (*counts, *more):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise UsageError(f"{name}: {most} at most")
        self._check_containers()
        if self.fstype not in FSTYPES:
            raise UsageError(f"unknown file system {self.fstype!r}; one of {', '.join(FSTYPES)}")
        if self.task_mode not in TASK_MODES:
            raise UsageError(
                f"unknown task mode {self.task_mode!r}; one of {', '.join(TASK_MODES)}"
            )
        if self.walkers and not self.sync:
            raise UsageError("walkers walk into sync umounts: give --sync too")

    def _check_containers(self) -> None:
        if self.layers < 1 or self.makers < 1:
            raise UsageError("layers and makers: at least 1")
        if self.holds and not self.hold_ms:
            raise UsageError("holds last as long as --hold says: give it too")
        if self.holds > 2 * self.containers * self.layers:
            raise UsageError("holds: as many as layers are mounted, at most")

    def to_json(self) -> dict[str, object]:
        """Return the fields, and the order in which the scenarios ran."""
        return {**asdict(self), "order": list(ORDER)}
