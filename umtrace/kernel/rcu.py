"""The settings that decide how long an RCU wait takes; read only.

``rcu_normal`` turns every expedited grace period into a normal one, some hundred times
slower. PREEMPT_RT sets it at the end of boot (rcu_normal_after_boot).
"""

from __future__ import annotations

import os
from pathlib import Path

_SYS = Path("/sys/kernel")


def rcu_state(root: Path = _SYS) -> dict[str, int | bool | None]:
    """Return rcu_normal, rcu_expedited (None where unreadable) and whether this is PREEMPT_RT."""
    return {
        "rcu_normal": _number(root / "rcu_normal"),
        "rcu_expedited": _number(root / "rcu_expedited"),
        "preempt_rt": _number(root / "realtime") == 1 or "PREEMPT_RT" in os.uname().version,
    }


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
