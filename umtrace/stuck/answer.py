"""What `umtrace stuck` found: tasks that hang in an umount, and why."""

from __future__ import annotations

from dataclasses import dataclass

#: exit status, beside those of every command
NOTHING, HANGS, SLOW, UNKNOWN = 0, 10, 11, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a task waits for.

    ``text`` is a phrase; ``command`` ends the wait and is for a root shell, None if none is known.
    ``pids`` are the processes that should answer, such as those of a FUSE server.
    """

    text: str
    command: str | None = None
    remedy: str | None = None  #: what is to be said beside the command
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A task that hangs in an umount, or behind one; null is not known.

    Attributes
    ----------
    phase : str
        lookup, lock, tree, rcu, shutdown, other; superblock: it only waits for a superblock that
        another task shuts down.
    wait : str or None
        What it waits for, see `stacks.Stand`.
    begun : bool
        Whether its umount has begun; False: a program that unmounts asks for the path first.
    function : str or None
        The kernel function it sleeps in.
    asleep_ns : int or None
        For how long at least it has not run, ns.
    age_ns : int
        How long ago the task was made, ns: it hangs no longer than this.
    moves : bool
        It ran while it was watched, but was in the same phase each time.
    worker : bool
        It is the kernel's worker for last references: those that come later wait behind it.
    device : str or None
        The device, or several that it may be, separated by commas.
    behind : tuple of int
        The tasks that it waits behind.
    """

    pid: int
    tid: int
    comm: str
    state: str
    phase: str
    wait: str | None
    begun: bool
    function: str | None
    asleep_ns: int | None
    age_ns: int
    moves: bool
    worker: bool
    path: str | None
    fstype: str | None
    device: str | None
    container: str | None
    behind: tuple[int, ...]
    cause: Cause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckAnswer:
    """All that was found; ``blind`` has phrases for what could not be read."""

    tasks: tuple[Stuck, ...]
    blind: tuple[str, ...]
    hidden: str | None  #: why kernel stacks cannot be read
    n_processes: int
    watched_ns: int  #: how long the tasks found were watched

    @property
    def exit_code(self) -> int:
        """Return the exit status of the command."""
        if any(not task.moves for task in self.tasks):
            return HANGS
        if self.tasks:
            return SLOW
        return UNKNOWN if self.hidden or self.blind else NOTHING
