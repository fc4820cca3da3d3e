"""The options that this kernel was built with, if the host has a list of them."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def options_off(wanted: Iterable[str]) -> list[str]:
    """Return which of the options are off; empty if it is unknown, since no list can be read.

    Parameters
    ----------
    wanted : iterable of str
        Names with their prefix: ``CONFIG_KPROBES``.
    """
    for place in _places():
        try:
            data = place.read_bytes()
            text = gzip.decompress(data) if place.suffix == ".gz" else data
        except (OSError, EOFError, zlib.error):
            continue
        lines = set(text.decode(errors="replace").splitlines())
        if not any(line.startswith("CONFIG_") for line in lines):
            continue
        return [name for name in wanted if not lines & {f"{name}=y", f"{name}=m"}]
    return []


def _places() -> Iterator[Path]:
    release = os.uname().release
    yield Path("/proc/config.gz")
    yield Path("/boot") / f"config-{release}"
    yield Path("/lib/modules") / release / "config"
