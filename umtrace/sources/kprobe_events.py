"""Kprobes and kretprobes made through tracefs, in a group of our own.

A kretprobe made in this way can have room for all concurrent callers of a teardown storm
(maxactive), and the kernel's counts of its misses can be read. The perf interface offers neither.
But such a probe does not end with the process (see tracefs_guard.py).
"""

from __future__ import annotations

import re
from contextlib import suppress

from umtrace.kernel.refusals import refusal
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import UmtraceError
from umtrace.sources.tracefs_control import append
from umtrace.sources.tracefs_guard import TracefsLock, remove_event

MAXACTIVE = 4096  # KRETPROBE_MAXACTIVE_MAX


def refused(tracefs: Tracefs, function: str, error: OSError) -> UmtraceError:
    """Return the error to raise where tracefs makes no dynamic event on a function."""
    absent = f"this kernel has no function {function}"
    with suppress(OSError):
        if "kprobe_events" not in tracefs.names("."):
            absent = "this tracefs has no kprobe events to make: CONFIG_KPROBE_EVENTS is not set"
    return refusal(f"no kprobe on {function}", error, absent=absent)


class KprobeEvents:
    """The dynamic events of one tracer; close removes them."""

    def __init__(self, tracefs: Tracefs) -> None:
        self._tracefs = tracefs
        self._owner = TracefsLock(tracefs)
        self._group = self._owner.group()
        self._events: list[str] = []

    def add(self, function: str, *, on_return: bool) -> str:
        """Create a probe and return its event as ``group:name``.

        Raises
        ------
        NotPermittedError, NoTierError
            The kernel refuses: locked down, or not a function that can be probed.
        """
        plain = re.sub(r"[^0-9A-Za-z_]", "_", function)
        name = f"{'r' if on_return else 'p'}_{plain}_{self._owner.number}"
        kind = f"r{MAXACTIVE}" if on_return else "p"
        try:
            append(self._tracefs, "kprobe_events", f"{kind}:{self._group}/{name} {function}\n")
        except OSError as error:
            raise refused(self._tracefs, function, error) from None
        self._events.append(f"{self._group}/{name}")
        return f"{self._group}:{name}"

    def watch(self) -> None:
        """Start a process that removes the events if this one is killed."""
        self._owner.watch()

    def misses(self) -> dict[str, int] | None:
        """Return how often, by event, the kernel had no room for a return or skipped a hit."""
        # The profile names events without their group: ours end in our own number.
        mine = {event.partition("/")[2] for event in self._events}
        with suppress(OSError):
            lines = (line.split() for line in self._tracefs.read("kprobe_profile").splitlines())
            return {words[0]: int(words[-1]) for words in lines if words and words[0] in mine}
        return None

    def close(self) -> None:
        """Remove the events; the probes must be detached before."""
        for event in self._events:
            remove_event(self._tracefs, *event.split("/"))
        self._events.clear()
        self._owner.close()
