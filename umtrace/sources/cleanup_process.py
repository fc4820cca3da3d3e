"""A process that outlives a tracer by a moment, and removes what it left in tracefs when killed.

Instances and dynamic events do not go away with the process that made them, and cost the whole
host something while they are there.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress

from umtrace.kernel.tracefs import Tracefs

# Waits for the end of its input, that is of the tracer. What it left stays busy until the
# kernel has closed the tracer's other descriptors, hence the turns; the last finds nothing.
# Where cat cannot be run, for want of descriptors or memory, the tracer may well be alive.
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


class CleanupProcess:
    """Waits for the death of this process; ``close`` ends it.

    Parameters
    ----------
    tracefs : Tracefs
    number : str
        That of the owner, in the names of all that is to be removed.
    """

    def __init__(self, tracefs: Tracefs, number: str) -> None:
        self._tracefs, self._number = tracefs, number
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # no shell: what a killed run leaves waits for the next start
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "umtrace-watcher", number],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=f"/proc/self/fd/{tracefs.fd}",  # may have no place in any namespace
                start_new_session=True,
            )

    def close(self) -> None:
        """End it; what a signal kept its owner from removing is removed first."""
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
