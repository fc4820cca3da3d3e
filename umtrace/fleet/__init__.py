"""Many hosts: summaries of recordings, and what they add up to.

``umtrace.fleet.open(folder)`` gives frames; see ``docs/fleet.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umtrace.fleet.api import open_fleet as open  # noqa: A004

__all__ = ["open"]


def __getattr__(name: str) -> object:
    if name != "open":
        raise AttributeError(f"module 'umtrace.fleet' has no attribute {name!r}")
    from umtrace.fleet.api import open_fleet  # noqa: PLC0415 - a recorder needs none of it

    return open_fleet
