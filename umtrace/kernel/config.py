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
    lines = _lines()
    if not lines:
        return []
    return [name for name in wanted if not lines & {f"{name}=y", f"{name}=m"}]


def option_number(name: str) -> int | None:
    """Return the value of an option that is a number, such as ``CONFIG_HZ``; None if unknown."""
    start = f"{name}="
    values = [line.removeprefix(start) for line in _lines() if line.startswith(start)]
    return int(values[0]) if values and values[0].isdecimal() else None


def _lines() -> frozenset[str]:
    """Return the lines of the first list that can be read; empty if there is none."""
    for place in _places():
        try:
            data = place.read_bytes()
            text = gzip.decompress(data) if place.suffix == ".gz" else data
        except (OSError, EOFError, zlib.error):
            continue
        lines = frozenset(text.decode(errors="replace").splitlines())
        if any(line.startswith("CONFIG_") for line in lines):
            return lines
    return frozenset()


def _places() -> Iterator[Path]:
    release = os.uname().release
    yield Path("/proc/config.gz")
    yield Path("/boot") / f"config-{release}"
    yield Path("/lib/modules") / release / "config"
