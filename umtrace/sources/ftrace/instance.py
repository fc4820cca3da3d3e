"""A trace instance and a group of dynamic events of our own; leaves nothing behind."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress

from umtrace.kernel.tracefs import Tracefs
from umtrace.records.errors import NoTierError, NotPermittedError, UmtraceError
from umtrace.sources.ftrace.events import Event
from umtrace.sources.ftrace.owner import group_name, instance_name, is_orphan

TOTAL_BUFFER_KB = 64 << 10
MOST_BUFFER_KB, LEAST_BUFFER_KB = 8 << 10, 1 << 10
_DEFINED = re.compile(r"^[prfe]\d*:(\w+)/(\S+)", re.MULTILINE)
_STATS = re.compile(r"^(overrun|commit overrun|dropped events): (\d+)", re.MULTILINE)


class Instance:
    """One trace instance, off until ``start``; ``close`` removes it and its events.

    Parameters
    ----------
    buffer_kb : int or None
        Size of the buffer of each CPU; by default the whole is at most 64 MiB.
    gated : bool
        This is the second instance of a tracer, for what is let in only now and then.
    of : int
        How many instances share the 64 MiB.
    """

    def __init__(
        self, tracefs: Tracefs, buffer_kb: int | None = None, *, gated: bool = False, of: int = 1
    ) -> None:
        self._tracefs = tracefs
        self.group = group_name()
        self.path = f"instances/{instance_name(gated=gated)}"
        self._made: list[str] = []
        self._open = False
        remove_orphans(tracefs)
        self._make(buffer_kb, TOTAL_BUFFER_KB // of)

    def _make(self, buffer_kb: int | None, total_kb: int) -> None:
        try:
            os.mkdir(self.path, dir_fd=self._tracefs.fd)
        except PermissionError:
            raise NotPermittedError("tracefs refuses a trace instance: needs root") from None
        except OSError as error:
            raise NoTierError(f"no trace instance: {error.strerror}") from None
        self._open = True
        self.cpus = sorted(int(n[3:]) for n in self._tracefs.names(f"{self.path}/per_cpu"))
        share = total_kb // max(1, len(self.cpus))
        self.buffer_kb = buffer_kb or min(MOST_BUFFER_KB, max(LEAST_BUFFER_KB, share))
        self.write("tracing_on", "0")
        self.write("trace_clock", "mono")
        self.write("buffer_size_kb", str(self.buffer_kb))

    def write(self, name: str, text: str) -> None:
        """Write to a file of the instance."""
        try:
            self._tracefs.write(f"{self.path}/{name}", text)
        except OSError as error:
            raise NoTierError(f"tracefs refuses {text!r} in {name}: {error.strerror}") from None

    def read(self, name: str) -> str:
        """Return the text of a file of the instance."""
        return self._tracefs.read(f"{self.path}/{name}")

    def open_raw(self, cpu: int) -> int:
        """Return a non-blocking descriptor of a CPU's binary pages."""
        name = f"{self.path}/per_cpu/cpu{cpu}/trace_pipe_raw"
        return os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=self._tracefs.fd)

    def add(self, event: Event) -> None:
        """Make a dynamic event and switch it on.

        Raises
        ------
        NotPermittedError, NoTierError
            The kernel refuses it.
        """
        try:
            self._tracefs.append("kprobe_events", event.definition(self.group))
        except PermissionError:
            raise NotPermittedError("dynamic events are refused here (lockdown?)") from None
        except FileNotFoundError:
            if not self._has_kprobes():
                raise NoTierError("this tracefs has no kprobe events to make") from None
            raise NoTierError(f"this kernel has no function {event.function}") from None
        except OSError as error:
            raise NoTierError(f"no event on {event.function}: {error.strerror}") from None
        self._made.append(event.name)
        if event.filter:
            self.write(f"events/{self.group}/{event.name}/filter", event.filter)
        self.write(f"events/{self.group}/{event.name}/enable", "1")

    def _has_kprobes(self) -> bool:
        return "kprobe_events" in self._tracefs.names(".")

    def drop(self, name: str) -> None:
        """Remove a dynamic event that turned out useless."""
        with suppress(UmtraceError):
            self.write(f"events/{self.group}/{name}/enable", "0")
        _remove(self._tracefs, [(self.group, name)])
        self._made = [made for made in self._made if made != name]

    def enable(self, event: str) -> bool:
        """Switch on a tracepoint ``category:name``; False where the kernel has none."""
        try:
            self.write(f"events/{event.replace(':', '/')}/enable", "1")
        except UmtraceError:
            return False
        return True

    def has(self, event: str) -> bool:
        """Whether the kernel has a tracepoint ``category:name``."""
        category, name = event.split(":")
        try:
            return name in self._tracefs.names(f"{self.path}/events/{category}")
        except OSError:
            return False

    def keep(self, event: str, condition: str) -> None:
        """Have the kernel drop what does not meet a condition."""
        with suppress(UmtraceError):
            self.write(f"events/{event.replace(':', '/')}/filter", condition)

    def trigger(self, event: str, action: str) -> bool:
        """Have the kernel do something at an event; False where it will not."""
        try:
            self.write(f"events/{event.replace(':', '/')}/trigger", action)
        except UmtraceError:
            return False
        return True

    def start(self) -> None:
        """Let events in, all kinds at the same moment."""
        self.write("tracing_on", "1")

    def lost(self) -> list[int]:
        """Return how many events each CPU's buffer lost."""
        stats = (self.read(f"per_cpu/cpu{cpu}/stats") for cpu in self.cpus)
        return [sum(int(n) for _, n in _STATS.findall(text)) for text in stats]

    def profile(self) -> dict[str, tuple[int, int]] | None:
        """Return hits and misses of each event: no room for a return, or a hit skipped."""
        with suppress(OSError):
            lines = (line.split() for line in self._tracefs.read("kprobe_profile").splitlines())
            mine = (words for words in lines if words and words[0] in self._made)
            return {words[0]: (int(words[-2]), int(words[-1])) for words in mine}
        return None

    def close(self) -> None:
        """Remove everything; may be called twice."""
        if not self._open:
            return
        self._open = False
        _remove_instance(self._tracefs, self.path)
        _remove(self._tracefs, [(self.group, name) for name in self._made])


def remove_orphans(tracefs: Tracefs) -> list[str]:
    """Remove instances and events of tracers that are gone; never those of others."""
    removed = []
    with suppress(OSError):
        orphans = filter(is_orphan, tracefs.names("instances"))
        gone = (name for name in orphans if _remove_instance(tracefs, f"instances/{name}"))
        removed += [f"instance {name}" for name in gone]
    with suppress(OSError):
        defined = _DEFINED.findall(tracefs.read("kprobe_events"))
        left = [(group, name) for group, name in defined if is_orphan(group)]
        _remove(tracefs, left)
        removed += sorted({f"events {group}" for group, _ in left})
    return removed


def _remove_instance(tracefs: Tracefs, path: str) -> bool:
    with suppress(OSError):
        tracefs.write(f"{path}/events/enable", "0")
    for _ in range(20):
        with suppress(OSError):
            os.rmdir(path, dir_fd=tracefs.fd)
            return True
        time.sleep(0.05)  # a reader of the dead tracer may still be let go of
    return False


def _remove(tracefs: Tracefs, events: Iterable[tuple[str, str]]) -> None:
    for group, name in events:
        with suppress(OSError):
            tracefs.append("kprobe_events", f"-:{group}/{name}\n")
