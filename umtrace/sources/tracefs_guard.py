"""Leaves tracefs as it was: marks what umtrace makes there with its owner, and removes it.

Instances and dynamic events stay when the process that made them ends, and slow down the whole
host while they exist.

A process id does not identify an owner: in another pid namespace no process, or another one, has
it. So a tracer holds a lock on one byte of the root directory of tracefs, which is one file system
for all namespaces, however often it is mounted. The names of all that the tracer makes contain the
number of that byte. The kernel drops the lock when the tracer ends, in whatever way, and no number
is used twice. So what has no lock never gets an owner again.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from contextlib import suppress
from fcntl import F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, fcntl

from umtrace.kernel.refusals import refusal
from umtrace.kernel.tracefs import Tracefs
from umtrace.sources.tracefs_control import append

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux
_NUMBER_BYTES = 6
_MARK = re.compile(r"umtrace(?:-|_|_ft_)\d+[-_]([0-9a-f]{12})(?:-gated)?")
_DEFINED = re.compile(r"^[pr]\d*:(\w+)/(\S+)", re.MULTILINE)

# Waits for the end of its input, which is the end of the tracer. What the tracer left stays busy
# until the kernel has closed its other descriptors, so this tries several times, until nothing is
# left. If cat cannot run, for lack of descriptors or memory, the tracer may still be alive.
_SCRIPT = """
cat || exit 1
for pause in 0.05 0.1 0.2 0.5 0.5 0.5 1 1 1 2 2; do
	left=
	for instance in instances/umtrace-*-"$1" instances/umtrace-*-"$1"-gated; do
		if [ -d "$instance" ]; then left=1; rmdir "$instance"; fi
	done
	for event in $(sed -n "s|^[pr][0-9]*:\\(umtrace_[^ /]*_$1/[^ ]*\\).*|\\1|p" kprobe_events); do
		left=1; echo "-:$event" >>kprobe_events
	done
	[ "$left" ] || exit 0
	sleep "$pause"
done
"""
_TO_REMOVE_S = 2.0


class TracefsLock:
    """The lock of one tracer, which owns what it makes until ``close`` or its death.

    Attributes
    ----------
    number : str
        The number of the locked byte, hexadecimal. The process id is in names only for people.

    Raises
    ------
    NoTierError
        tracefs takes no locks.
    """

    def __init__(self, tracefs: Tracefs) -> None:
        self.number = os.urandom(_NUMBER_BYTES).hex()
        self._tracefs = tracefs
        self._watcher: CleanupProcess | None = None
        self._fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=tracefs.fd)
        try:
            fcntl(self._fd, F_OFD_SETLK, _byte(F_RDLCK, self.number))
        except OSError as error:
            self.close()
            raise refusal("tracefs takes no lock", error) from None

    def watch(self) -> None:
        """Start a process that removes all that is left if this one is killed."""
        self._watcher = CleanupProcess(self._tracefs, self.number)

    def instance(self, *, gated: bool = False) -> str:
        """Return the name of the trace instance; there may be a second one, a gated one."""
        return f"umtrace-{os.getpid()}-{self.number}{'-gated' if gated else ''}"

    def group(self, prefix: str = "umtrace") -> str:
        """Return the name of a group of dynamic events: umtrace's, or umtrace_ft's."""
        return f"{prefix}_{os.getpid()}_{self.number}"

    def close(self) -> None:
        """Give up the ownership of what is left; may be called twice."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class CleanupProcess:
    """Waits for the death of this process; ``close`` ends it.

    Parameters
    ----------
    tracefs : Tracefs
    number : str
        The number of the owner, which is in the names of all that is to be removed.
    """

    def __init__(self, tracefs: Tracefs, number: str) -> None:
        self._tracefs, self._number = tracefs, number
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # without a shell, the next start removes what a killed run left
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "umtrace-watcher", number],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=f"/proc/self/fd/{tracefs.fd}",  # may have no place in any namespace
                start_new_session=True,
            )

    def close(self) -> None:
        """End it, but let it first remove what its owner could not remove because of a signal."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._anything_left():
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_TO_REMOVE_S)
        process.kill()
        process.communicate()

    def _anything_left(self) -> bool:
        with suppress(OSError):
            names = (*self._tracefs.names("instances"), *self._tracefs.names("events"))
            return any(self._number in name for name in names)
        return False


def remove_leftovers(tracefs: Tracefs) -> list[str]:
    """Remove the instances and dynamic events that have no owner; return their names.

    Every start calls it, so it reads no more than two files. What is still busy stays.
    """
    removed = []
    with suppress(OSError):
        orphans = [name for name in tracefs.names("instances") if is_orphan(tracefs, name)]
        gone = (name for name in orphans if _remove_instance(tracefs, name))
        removed += [f"instance {name}" for name in gone]
    with suppress(OSError):
        defined = _DEFINED.findall(tracefs.read("kprobe_events"))
        orphans = [name for name in {group for group, _ in defined} if is_orphan(tracefs, name)]
        left = [event for event in defined if event[0] in orphans]
        gone_groups = {group for group, name in left if remove_event(tracefs, group, name)}
        removed += sorted(f"events {group}" for group in gone_groups)
    return removed


def is_orphan(tracefs: Tracefs, name: str) -> bool:
    """Whether the name is one of umtrace's and the tracer that made it is gone."""
    mark = _MARK.fullmatch(name)
    if mark is None:
        return False
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=tracefs.fd)
    try:
        found = fcntl(fd, F_OFD_GETLK, _byte(F_WRLCK, mark[1]))
    except OSError:
        return False  # unknown, so it counts as alive
    finally:
        os.close(fd)
    return bool(struct.unpack(_FLOCK, found)[0] == F_UNLCK)


def _byte(kind: int, number: str) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, int(number, 16), 1, 0)


def _remove_instance(tracefs: Tracefs, name: str) -> bool:
    # No event is switched off first: rmdir does that, or it refuses and changes nothing.
    try:
        os.rmdir(f"instances/{name}", dir_fd=tracefs.fd)
    except OSError:
        return False
    return True


def remove_event(tracefs: Tracefs, group: str, name: str) -> bool:
    """Remove one dynamic event; False while something uses it."""
    try:
        append(tracefs, "kprobe_events", f"-:{group}/{name}\n")
    except OSError:
        return False
    return True
