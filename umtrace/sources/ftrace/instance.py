"""A trace instance and a group of dynamic events of our own; it removes both at its end."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress

from umtrace.kernel.refusals import refusal
from umtrace.kernel.tracefs import Tracefs, no_tracepoint
from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError
from umtrace.sources import tracefs_control
from umtrace.sources.ftrace.events import Event
from umtrace.sources.kprobe_events import refused
from umtrace.sources.tracefs_guard import TracefsLock, remove_event

TOTAL_BUFFER_KB = 64 << 10
_MOST_TEXT = 165  # bytes; SYSCALL_FAULT_USER_MAX
MOST_BUFFER_KB, LEAST_BUFFER_KB = 8 << 10, 1 << 10
_STATS = re.compile(r"^(overrun|commit overrun|dropped events): (\d+)", re.MULTILINE)


class Instance:
    """One trace instance, off until ``start``; ``close`` removes it and its events.

    Parameters
    ----------
    owner : TracefsLock
        Outlives the instance, and gives the names.
    buffer_kb : int or None
        Size of the buffer of each CPU. By default all buffers together have at most 64 MiB, or
        1 MiB for each CPU if that is more.
    gated : bool
        This is the second instance of a tracer, with events that are not always switched on.
    of : int
        Number of instances that share the 64 MiB.
    """

    def __init__(
        self,
        tracefs: Tracefs,
        owner: TracefsLock,
        buffer_kb: int | None = None,
        *,
        gated: bool = False,
        of: int = 1,
    ) -> None:
        self._tracefs = tracefs
        self.group = owner.group("umtrace_ft")
        self.path = f"instances/{owner.instance(gated=gated)}"
        self._made: list[str] = []
        self._switches: dict[str, str] = {}  # file -> what it switches on
        self._open = False
        try:
            self._make(buffer_kb, TOTAL_BUFFER_KB // of)
        except BaseException:
            self.close()
            raise

    def _make(self, buffer_kb: int | None, total_kb: int) -> None:
        self._open = True  # set before it is made, since a signal may come right after that
        try:
            os.mkdir(self.path, dir_fd=self._tracefs.fd)
        except OSError as error:
            self._open = False
            raise refusal("tracefs makes no trace instance", error) from None
        self.cpus = sorted(int(n[3:]) for n in self._tracefs.names(f"{self.path}/per_cpu"))
        share = total_kb // max(1, len(self.cpus))
        self.buffer_kb = buffer_kb or min(MOST_BUFFER_KB, max(LEAST_BUFFER_KB, share))
        self.write("tracing_on", "0")
        self.write("trace_clock", "mono")
        self.write("buffer_size_kb", str(self.buffer_kb))

    def write(self, name: str, text: str) -> None:
        """Write to a file of the instance."""
        try:
            tracefs_control.write(self._tracefs, f"{self.path}/{name}", text)
        except OSError as error:
            raise refusal(f"tracefs refuses {text!r} in {name}", error) from None

    def take_long_texts(self) -> None:
        """Let events of system calls show as much of a text as the kernel can, not 63 bytes."""
        with suppress(UmtraceError):  # before 7.0 there is no such file, and no such text
            self.write("syscall_user_buf_size", str(_MOST_TEXT))

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
            The kernel refuses the event.
        """
        try:
            tracefs_control.append(self._tracefs, "kprobe_events", event.definition(self.group))
        except OSError as error:
            raise refused(self._tracefs, event.function, error) from None
        self._made.append(event.name)
        if event.filter:
            self.write(f"events/{self.group}/{event.name}/filter", event.filter)
        self.write(f"events/{self.group}/{event.name}/enable", "1")
        self._switches[f"events/{self.group}/enable"] = "dynamic events"

    def enable(self, event: str) -> bool:
        """Switch on a tracepoint ``category:name``; False where the kernel has none."""
        switch = f"events/{event.replace(':', '/')}/enable"
        try:
            self.write(switch, "1")
        except (NoTierError, NotPermittedError):
            return False
        self._switches[switch] = event.partition(":")[2]
        return True

    def has(self, event: str) -> bool:
        """Whether the kernel has a tracepoint ``category:name``."""
        category, name = event.split(":")
        try:
            return name in self._tracefs.names(f"{self.path}/events/{category}")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise no_tracepoint(event, error) from None

    def keep(self, event: str, condition: str) -> None:
        """Let the kernel drop records that do not meet a condition."""
        with suppress(UmtraceError):
            self.write(f"events/{event.replace(':', '/')}/filter", condition)

    def trigger(self, event: str, action: str) -> bool:
        """Let the kernel do something at an event; False if it refuses."""
        try:
            self.write(f"events/{event.replace(':', '/')}/trigger", action)
        except (NoTierError, NotPermittedError):
            return False
        return True

    def start(self) -> None:
        """Start to record, all events at the same time."""
        self.write("tracing_on", "1")
        self._switches["tracing_on"] = "recording"

    def switch_on_again(self) -> list[str]:
        """Switch on again what another program has switched off, and return what it was."""
        off = [what for switch, what in self._switches.items() if not self._is_on(switch)]
        for switch, what in self._switches.items():
            if what in off:
                with suppress(UmtraceError):
                    self.write(switch, "1")
        return off

    def _is_on(self, switch: str) -> bool:
        try:
            return self.read(switch).startswith("1")  # "1*" where it has a trigger, too
        except OSError:
            return False

    def lost(self) -> list[int]:
        """Return how many events each CPU's buffer lost."""
        stats = (self.read(f"per_cpu/cpu{cpu}/stats") for cpu in self.cpus)
        return [sum(int(n) for _, n in _STATS.findall(text)) for text in stats]

    def profile(self) -> dict[str, tuple[int, int]] | None:
        """Return hits and misses of each event; a miss had no room for a return, or was skipped."""
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
        self._remove()
        for name in self._made:
            remove_event(self._tracefs, self.group, name)

    def _remove(self) -> None:
        name = self.path.rpartition("/")[2]
        for _ in range(20):
            with suppress(OSError):
                os.rmdir(self.path, dir_fd=self._tracefs.fd)
            if name not in self._tracefs.names("instances"):
                return
            time.sleep(0.05)  # another process may be reading it
