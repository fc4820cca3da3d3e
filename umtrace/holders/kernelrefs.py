"""Files that the kernel itself keeps open: swap, backing files of loop devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from umtrace.holders.mounts import unescape

_SWAPS = Path("/proc/swaps")
_BLOCK = Path("/sys/block")


def kernel_files() -> Iterator[tuple[str, str, str]]:
    """Yield (kind, path, by whom)."""
    with suppress(OSError):
        for line in _SWAPS.read_text().splitlines()[1:]:
            yield "swap", unescape(line.split()[0]), "swap"
    for backing in _BLOCK.glob("loop*/loop/backing_file"):
        with suppress(OSError):
            yield "loop", backing.read_text().rstrip("\n"), f"/dev/{backing.parts[3]}"
