"""Removes what tracers that are gone left in tracefs; never what is of the living, or of others."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from umtrace.kernel.tracefs import Tracefs
from umtrace.sources.tracefs_control import append
from umtrace.sources.tracefs_lock import is_orphan

_DEFINED = re.compile(r"^[pr]\d*:(\w+)/(\S+)", re.MULTILINE)


def remove_leftovers(tracefs: Tracefs) -> list[str]:
    """Remove the instances and dynamic events that have no owner; returns what it was.

    Cheap, as every start calls it: two files are read. What is still busy stays.
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


def _remove_instance(tracefs: Tracefs, name: str) -> bool:
    # Nothing is written before: rmdir switches the events off, or refuses and changes nothing.
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
