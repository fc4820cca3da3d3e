"""Reads tracefs, also where it is not mounted.

On minimal hosts and in containers tracefs is not mounted. Then a detached mount of it is made
(fsopen, fsmount): it is in no mount namespace, so no other process sees it, and it ends when its
descriptor is closed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from umtrace.kernel.refusals import missing_privilege, refusal
from umtrace.kernel.syscalls import FSCONFIG, FSMOUNT, FSOPEN, syscall
from umtrace.model.errors import NotPermittedError, UmtraceError

_PLACES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_FSCONFIG_CMD_CREATE = 6
_FIELD = re.compile(r"field:.*?(\w+)(?:\[[^]]*\])?;\s*offset:(\d+);\s*size:(\d+);")


def _mounted() -> Path | None:
    place = None
    try:
        for place in _PLACES:
            if (place / "events").is_dir():
                return place
    except PermissionError:
        why = missing_privilege() or "permission denied"
        raise NotPermittedError(f"{place} may not be read: {why}") from None
    return None


def _mount_detached() -> int:
    context = syscall(FSOPEN, b"tracefs", 1)
    try:
        syscall(FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return syscall(FSMOUNT, context, 1, 0)
    finally:
        os.close(context)


def no_tracepoint(event: str, error: OSError) -> UmtraceError:
    """Return the error to raise where a file of an event cannot be read."""
    absent = f"this kernel has no tracepoint {event}"
    return refusal(f"the tracepoint {event} cannot be read", error, absent=absent)


class Tracefs:
    """A readable tracefs; a context manager that closes what it opened."""

    def __init__(self) -> None:
        self._fd = self._open()

    @staticmethod
    def _open() -> int:
        place = _mounted()
        if place:
            try:
                return os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                raise refusal(f"{place} cannot be opened", error) from None
        try:
            return _mount_detached()
        except OSError as error:
            raise refusal("tracefs is not mounted here, nor can be", error) from None

    def close(self) -> None:
        """Close tracefs; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Tracefs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, path: str) -> str:
        """Return the text of one file; OSError if it cannot be opened."""
        fd = os.open(path, os.O_RDONLY, dir_fd=self._fd)
        with os.fdopen(fd, encoding="ascii", errors="replace") as file:
            return file.read()

    @property
    def fd(self) -> int:
        """Return the descriptor of the root directory."""
        return self._fd

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; OSError if it cannot be opened."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._fd)
        try:
            return sorted(os.listdir(fd))  # noqa: PTH208 - by descriptor
        finally:
            os.close(fd)

    def event_id(self, event: str) -> int:
        """Return the number of ``category:name`` for perf_event_open.

        Raises
        ------
        NoTierError
            The kernel has no such event.
        NotPermittedError, UmtraceError
            It could not be read.
        """
        try:
            return int(self.read(f"events/{event.replace(':', '/')}/id"))
        except OSError as error:
            raise no_tracepoint(event, error) from None

    def field_offsets(self, event: str) -> dict[str, int]:
        """Return the byte offset of every field of the record of ``category:name``.

        Raises
        ------
        NoTierError, NotPermittedError, UmtraceError
            As `event_id`.
        """
        try:
            text = self.read(f"events/{event.replace(':', '/')}/format")
        except OSError as error:
            raise no_tracepoint(event, error) from None
        return {m[1]: int(m[2]) for m in _FIELD.finditer(text)}
