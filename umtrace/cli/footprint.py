"""Keeps the commands small that run for days beside other work."""

from __future__ import annotations

import os

_POOL = "ARROW_DEFAULT_MEMORY_POOL"


def give_back_memory() -> None:
    """Let Arrow allocate with malloc: its own pool keeps what a burst of umounts once needed.

    After 26,000 umounts a recorder has 128 MiB resident so, 156 MiB otherwise. Arrow looks at
    the variable once; the recorded command must not inherit it. A value already set is kept.
    """
    if _POOL in os.environ:
        return
    os.environ[_POOL] = "system"
    try:
        import pyarrow as pa

        pa.default_memory_pool()
    finally:
        del os.environ[_POOL]
