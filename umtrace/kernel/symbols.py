"""Kernel symbols by address: where a function lies, and which one an address is in."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from pathlib import Path

KALLSYMS = Path("/proc/kallsyms")

_TEXT = re.compile(rb"^([0-9a-f]+) [tT] (\S+)", re.MULTILINE)
_VARIABLE = rb"^([0-9a-f]+) \S (%s)$"
_DATA = frozenset({b"unmounted", b"__per_cpu_offset"})


class Symbols:
    """The text symbols of a kernel, sorted by address.

    Where kptr_restrict hides the addresses the table is empty (``known`` is False)
    and nothing that needs it is measured.
    """

    def __init__(
        self, addresses: list[int], names: list[str], data: dict[str, int] | None = None
    ) -> None:
        self._addresses = addresses
        self._names = names
        self._data = data or {}

    @classmethod
    def load(cls, path: Path = KALLSYMS) -> Symbols:
        """Read a kallsyms file; unreadable or hidden gives an empty table."""
        try:
            text = path.read_bytes()
        except OSError:
            return cls([], [])
        # One pass in C over 120,000 lines: it is on the way to the first event.
        pairs = [(int(address, 16), name) for address, name in _TEXT.findall(text)]
        pairs.sort()
        if not pairs or not pairs[-1][0]:
            return cls([], [])
        variable = re.compile(_VARIABLE % b"|".join(_DATA), re.MULTILINE)
        data = [(name.decode(), int(address, 16)) for address, name in variable.findall(text)]
        once = {name: address for name, address in data if [n for n, _ in data].count(name) == 1}
        return cls([a for a, _ in pairs], [n.decode() for _, n in pairs], once)

    @property
    def known(self) -> bool:
        """Whether addresses can be read at all."""
        return bool(self._addresses)

    @property
    def names(self) -> list[str]:
        """All function names, in order of address."""
        return self._names

    @lru_cache(maxsize=4096)  # noqa: B019 - one table lives as long as its source
    def name_at(self, address: int) -> str:
        """Return the function an address lies in, or ``?``."""
        index = bisect_right(self._addresses, address) - 1
        return self._names[index] if index >= 0 else "?"

    def data_address(self, name: str) -> int | None:
        """Return where a variable of the mount code lies; None if absent or ambiguous."""
        return self._data.get(name)

    def span(self, name: str) -> tuple[int, int] | None:
        """Return start and end (exclusive) of a function, or None where it has no symbol.

        The end is the start of the next symbol at a higher address.
        """
        try:
            index = self._names.index(name)
        except ValueError:
            return None
        start = self._addresses[index]
        after = bisect_right(self._addresses, start)
        end = self._addresses[after] if after < len(self._addresses) else start + 4096
        return start, end
