"""Which processes are of the recorded command, by a map that the kernel side keeps."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from umtrace.model.errors import UmtraceError
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import delete, lookup, update

#: inode number of the first pid namespace (PROC_PID_INIT_INO)
_FIRST_PIDNS = 0xEFFFFFFC
_ONE = struct.pack("=I", 1)


class CommandProcesses:
    """Says of a process id whether it is a descendant of the command; see bpf/command.c."""

    def __init__(self, loaded: BpfObject) -> None:
        self._loaded = loaded
        self._map = loaded.map_fd("of_command")
        loaded.attach_raw("sched_process_fork", "um_fork")

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Take what this process forks meanwhile for the command."""
        update(self._map, os.getpid(), _ONE)
        try:
            yield
        finally:
            delete(self._map, os.getpid())

    def __call__(self, pid: int) -> bool | None:
        """Whether a process is of the command; None where the map was full."""
        try:
            lookup(self._map, pid, len(_ONE))
        except OSError as error:
            full = error.errno != errno.ENOENT or bool(self._loaded.words("command_full", 1)[0])
            return None if full else False
        return True


def follow_command(loaded: BpfObject | None) -> CommandProcesses | None:
    """Return what follows a command; None where the kernel or a pid namespace does not allow it."""
    with suppress(UmtraceError, KeyError, OSError):
        if loaded is not None and Path("/proc/self/ns/pid").stat().st_ino == _FIRST_PIDNS:
            return CommandProcesses(loaded)
    return None
