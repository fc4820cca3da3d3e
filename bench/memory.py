"""What a process has in memory, and had at most."""

from __future__ import annotations

import re
from pathlib import Path

from bench.tools import NotHereError


def resident(pid: int) -> dict[str, float]:
    """Return RSS, PSS and their parts in MiB.

    Raises
    ------
    NotHereError
        If the process is gone: what was measured beside it was not traced to the end.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError as error:
        raise NotHereError("it ended before the work did") from error
    sizes = {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    rss, anonymous = sizes["Rss"], sizes["Anonymous"]
    return {
        "rss_mib": rss, "pss_mib": sizes["Pss"], "anonymous_mib": anonymous,
        "mapped_mib": rss - anonymous,
    }  # fmt: skip


def peak_kib() -> int:
    """Return the most that this process had resident since its start, or since `reset_peak`.

    ru_maxrss will not do: execve leaves it as it was, so a child has its parent's peak.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def reset_peak() -> int:
    """Let the peak begin at what is resident now; return that, in KiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_kib()
