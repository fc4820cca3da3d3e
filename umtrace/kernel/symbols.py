"""Kernel symbols by address: where a function lies, and which one an address is in."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

KALLSYMS = Path("/proc/kallsyms")

_TEXT = (b"t", b"T")
_DATA = frozenset({b"unmounted", b"__per_cpu_offset"})
_HIDDEN = b"0" * 16
_BLOCK_BYTES = 1 << 18
_BETWEEN = "?"


class Symbols:
    """The text symbols of a kernel, modules aside, sorted by address.

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
    def load(cls, path: Path = KALLSYMS, wanted: Container[bytes] | None = None) -> Symbols:
        """Read a kallsyms file; unreadable or hidden gives an empty table.

        Parameters
        ----------
        path : Path
        wanted : container of bytes, optional
            Only these functions are kept, with their variants (``name.isra.0``), and ``?`` for
            what follows each: a table of a hundred rows instead of 100,000.
        """
        found = _Collector(wanted)
        try:
            with path.open("rb") as file:
                for lines in _blocks(file):
                    found.add(lines)
        except OSError:
            return cls([], [])
        return cls(found.addresses, found.names, found.data)

    @property
    def known(self) -> bool:
        """Whether addresses can be read at all."""
        return bool(self._addresses)

    @property
    def names(self) -> list[str]:
        """All function names, in order of address; ``?`` for what was not wanted."""
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


class _Collector:
    """Takes what is wanted out of the lines of kallsyms, which the kernel sorts by address."""

    def __init__(self, wanted: Container[bytes] | None) -> None:
        self._wanted = wanted
        self._kept: list[tuple[bytes, bytes | None]] = []
        self._variables: list[tuple[bytes, bytes]] = []

    def add(self, lines: bytes) -> None:
        """Take whole lines. On the way to the first event: there are 120,000 of them."""
        words = lines.split()
        wanted, kept = self._wanted, self._kept
        for address, kind, name in zip(words[::3], words[1::3], words[2::3], strict=True):
            if kind in _TEXT:
                if wanted is None or _function(name) in wanted:
                    kept.append((address, name))
                elif kept and kept[-1][1] is not None and kept[-1][0] != address:
                    kept.append((address, None))
            elif name in _DATA:
                self._variables.append((address, name))

    @property
    def _hidden(self) -> bool:
        return not self._kept or self._kept[-1][0] == _HIDDEN

    @property
    def addresses(self) -> list[int]:
        """Where each begins."""
        return [] if self._hidden else [int(address, 16) for address, _name in self._kept]

    @property
    def names(self) -> list[str]:
        """Their names."""
        if self._hidden:
            return []
        return [_BETWEEN if name is None else name.decode() for _address, name in self._kept]

    @property
    def data(self) -> dict[str, int]:
        """Variables of which there is one of that name."""
        often = Counter(name for _address, name in self._variables)
        once = [(name, address) for address, name in self._variables if often[name] == 1]
        return {} if self._hidden else {name.decode(): int(at, 16) for name, at in once}


def _function(name: bytes) -> bytes:
    return name if b"." not in name else name.partition(b".")[0]


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the kernel's own lines; modules, which can define any name, come after them."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        block = rest + block
        modules = block.find(b"\t[")
        end = block.rfind(b"\n", 0, modules if modules >= 0 else None) + 1
        yield block[:end]
        if modules >= 0:
            return
        rest = block[end:]
