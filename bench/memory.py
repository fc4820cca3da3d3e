"""What a process has in memory."""

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
