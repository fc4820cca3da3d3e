"""Whose a trace instance or a group of dynamic events is, and whether that tracer lives.

A process id does not tell: in another pid namespace it is nobody's, or another's. So a tracer
holds a lock in tracefs, which is one file system for all namespaces, however often it is
mounted: on one byte of its root directory, whose number is in the names of all that the
tracer makes. The kernel lets go of the lock with the tracer, however it ends, and no number
comes twice: what has no lock never gets an owner again.
"""

from __future__ import annotations

import os
import re
import struct
from fcntl import F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, fcntl

from umtrace.kernel.refusals import refusal
from umtrace.kernel.tracefs import Tracefs
from umtrace.sources.cleanup_process import CleanupProcess

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux
_NUMBER_BYTES = 6
_MARK = re.compile(r"umtrace(?:-|_|_ft_)\d+[-_]([0-9a-f]{12})(?:-gated)?")


class TracefsLock:
    """One tracer; what it makes is its own until ``close`` or its death.

    Attributes
    ----------
    number : str
        That of its lock, in hexadecimal; the process id is in the names for people only.

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
        """Have all that is left removed should this process be killed."""
        self._watcher = CleanupProcess(self._tracefs, self.number)

    def instance(self, *, gated: bool = False) -> str:
        """Return the name of the trace instance; there may be a second, a gated one."""
        return f"umtrace-{os.getpid()}-{self.number}{'-gated' if gated else ''}"

    def group(self, prefix: str = "umtrace") -> str:
        """Return the name of a group of dynamic events: umtrace's, or umtrace_ft's."""
        return f"{prefix}_{os.getpid()}_{self.number}"

    def close(self) -> None:
        """Give up what is left; may be called twice."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def is_orphan(tracefs: Tracefs, name: str) -> bool:
    """Whether the name is one of umtrace's and the tracer that made it is gone."""
    mark = _MARK.fullmatch(name)
    if mark is None:
        return False
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=tracefs.fd)
    try:
        found = fcntl(fd, F_OFD_GETLK, _byte(F_WRLCK, mark[1]))
    except OSError:
        return False  # not known: as good as alive
    finally:
        os.close(fd)
    return bool(struct.unpack(_FLOCK, found)[0] == F_UNLCK)


def _byte(kind: int, number: str) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, int(number, 16), 1, 0)
