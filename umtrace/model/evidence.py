"""What probes other than umount's own tell about a busy mount; every stream is optional.

Times are CLOCK_MONOTONIC, as in events. Evidence is tied to an umount by its task and
time, or by the address of the struct mount.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Walk:
    """A path walker met a mount.

    ``what`` is legitimized (took a reference), discounted (saw a dying mount and backed
    off), must-put (took one it has to put itself), put (dropped it), or returned (the umount
    that got EBUSY did). ``left`` is the reference count after it; at 1 umount would succeed.

    ``earlier``: the task had taken it before the busy check. ``settled``: after it, for the first
    time, all references left were taken since that check. ``syscall`` is the number of the system
    call that the put was made in, -1 where it was made in none; None is not known. ``arming`` is
    the same as long as the mount was watched without a break; None where it was not. ``walked``:
    the process has put references of path walks since the check, and may have opened a file.
    ``exiting``: the task was exiting. ``first_exec``: the file was closed by the first execve since
    the task was forked by process ``parent``.
    """

    ts_ns: int
    tid: int
    comm: str
    mnt: int
    what: str
    pid: int | None = None
    left: int | None = None
    earlier: bool = False
    settled: bool = False
    syscall: int | None = None
    arming: int | None = None
    walked: bool = False
    exiting: bool = False
    first_exec: bool = False
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The busy check of an umount by task ``tid``.

    ``site`` is where the kernel decided: refcount, submount, copy or unknown. ``refcount`` is that
    of ``mnt``, the mount unmounted; ``mntns`` is the namespace of the copy that was busy in its
    place.
    """

    ts_ns: int
    tid: int
    mnt: int
    site: str
    refcount: int | None = None
    mntns: int | None = None


@dataclass(frozen=True, slots=True)
class Superblock:
    """``tid`` drops a mount's reference on a superblock that has ``active`` of them."""

    ts_ns: int
    tid: int
    dev: str
    active: int
    mntns: tuple[int, ...] = ()  #: namespaces of its other mounts


@dataclass(frozen=True, slots=True)
class Failure:
    """Another system call that got EBUSY on a path or a device."""

    ts_ns: int
    tid: int
    comm: str
    syscall: str
    path: str | None = None
    dev: str | None = None
    errno: int = 16


@dataclass(frozen=True, slots=True)
class Skip:
    """Meanwhile puts were not seen: the kernel skipped the probe, or events were lost."""

    begin_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What came with one batch; in order of time."""

    walks: tuple[Walk, ...] = ()
    checks: tuple[Check, ...] = ()
    lazies: tuple[Walk, ...] = ()  #: MNT_DETACH calls, each as its task and mount
    final_puts: tuple[Walk, ...] = ()  #: last references put by a task that unmounts nothing
    superblocks: tuple[Superblock, ...] = ()
    failures: tuple[Failure, ...] = ()
    skips: tuple[Skip, ...] = ()
    #: time of the first busy check that counted: from then on, one that does not says something
    counted_ns: int | None = None

    def in_order(self) -> list[tuple[int, str, Piece]]:
        """Return each piece with its time and its field, in order of time.

        The time of a `Skip` is the earliest one at which something was not seen.
        """
        found = [(_moment(piece), name, piece) for name in _PIECES for piece in getattr(self, name)]
        return sorted(found, key=lambda each: each[0])


Piece = Walk | Check | Superblock | Failure | Skip
#: a loss before what was seen at the same time, and counts before what they may decide
_PIECES: Final = (
    "skips",
    "checks",
    "lazies",
    "walks",
    "final_puts",
    "superblocks",
    "failures",
)


def _moment(piece: Piece) -> int:
    return piece.begin_ns if isinstance(piece, Skip) else piece.ts_ns


NO_EVIDENCE = Evidence()
