"""What a process has in memory."""

from __future__ import annotations

import re
from pathlib import Path


def resident(pid: int) -> dict[str, float]:
    """Return RSS, PSS and their parts in MiB; 0 where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (OSError, ProcessLookupError):
        text = ""
    sizes = {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    rss, anonymous = sizes.get("Rss", 0.0), sizes.get("Anonymous", 0.0)
    return {
        "rss_mib": rss, "pss_mib": sizes.get("Pss", 0.0), "anonymous_mib": anonymous,
        "mapped_mib": rss - anonymous,
    }  # fmt: skip
