"""Kernel symbols by address: finds the address of a function, and the function of an address."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

KALLSYMS = Path("/proc/kallsyms")

_TEXT = (b"t", b"T")
_DATA = frozenset({b"unmounted", b"__per_cpu_offset", b"rcu_state", b"namespace_sem"})
_HIDDEN = b"0" * 16
_BLOCK_BYTES = 1 << 18
_BETWEEN = "?"


class Symbols:
    """The text symbols of a kernel, without those of modules, sorted by address.

    Where kptr_restrict hides the addresses, the table is empty (``known`` is False), and what needs
    it is not measured.
    """

    def __init__(
        self, addresses: list[int], names: list[str], data: dict[str, int] | None = None
    ) -> None:
        self._addresses = addresses
        self._names = names
        self._data = data or {}

    @classmethod
    def load(cls, path: Path = KALLSYMS, wanted: Collection[bytes] | None = None) -> Symbols:
        """Read a kallsyms file; unreadable or hidden gives an empty table.

        Parameters
        ----------
        path : Path
        wanted : collection of bytes, optional
            Only these functions are kept, with their variants (``name.isra.0``), and a ``?`` for
            the end of each, so that the table has a hundred rows instead of 100,000.
        """
        found = _Collector(wanted)
        try:
            with path.open("rb") as file:
                for lines in _blocks(file):
                    found.add(lines)
        except OSError:
            return cls([], [])
        return cls(found.addresses, found.names, found.data)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as a dictionary for JSON, and for ``Symbols(**words)``."""
        return {"addresses": self._addresses, "names": self._names, "data": self._data}

    @property
    def known(self) -> bool:
        """Whether addresses can be read at all."""
        return bool(self._addresses)

    @property
    def names(self) -> list[str]:
        """All function names, in order of address; ``?`` for functions that were not wanted."""
        return self._names

    @lru_cache(maxsize=4096)  # noqa: B019 - one table lives as long as its source
    def name_at(self, address: int) -> str:
        """Return the function that has the address, or ``?``."""
        index = bisect_right(self._addresses, address) - 1
        return self._names[index] if index >= 0 else "?"

    def data_address(self, name: str) -> int | None:
        """Return the address of a variable that the probes read; None if absent or ambiguous."""
        return self._data.get(name)

    def span(self, name: str) -> tuple[int, int] | None:
        """Return start and end (exclusive) of a function, or None if it has no symbol.

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
    """Collects wanted symbols from the lines of kallsyms, which the kernel sorts by address.

    All 200,000 lines are read before the first event, so lines that are not wanted are skipped by
    C code alone.
    """

    def __init__(self, wanted: Collection[bytes] | None) -> None:
        self._wanted = frozenset(wanted) if wanted is not None else None
        self._kept: list[tuple[bytes, bytes | None]] = []
        self._variables: list[tuple[bytes, bytes]] = []
        self._open = False  # the end of the last kept function is not known yet

    def add(self, lines: bytes) -> None:
        """Add some lines, each of them complete."""
        if self._wanted is None:
            words = lines.split()
            for line in zip(words[::3], words[1::3], words[2::3], strict=True):
                self._take(*line)
            return
        if self._open:
            self._bound(lines, 0)
        for begin in _hits(lines, self._wanted):
            end = lines.index(b"\n", begin)
            self._take(*lines[begin:end].split())
            if self._kept:
                self._bound(lines, end + 1)

    def _take(self, address: bytes, kind: bytes, name: bytes) -> None:
        if name in _DATA:  # 7.3 has rcu_state in a section that kallsyms takes for text
            self._variables.append((address, name))
        if kind in _TEXT:
            # Other names of the same function come before the symbol that ends both.
            if self._kept and self._kept[-1][1] is None and self._kept[-1][0] >= address:
                self._kept.pop()
            self._kept.append((address, name))

    def _bound(self, lines: bytes, begin: int) -> None:
        """Keep the next function at a higher address, since the last kept one ends there."""
        last, name = self._kept[-1]
        self._open = name is not None and last != _HIDDEN
        if not self._open:
            return
        while begin < len(lines):
            address, kind = lines[begin : begin + len(last)], lines[begin + len(last) + 1]
            if kind in b"tT" and address != last:
                self._kept.append((address, None))
                self._open = False
                return
            begin = lines.index(b"\n", begin) + 1

    @property
    def _hidden(self) -> bool:
        return not self._kept or self._kept[-1][0] == _HIDDEN

    @property
    def addresses(self) -> list[int]:
        """The address of each function."""
        return [] if self._hidden else [int(address, 16) for address, _name in self._kept]

    @property
    def names(self) -> list[str]:
        """Their names."""
        if self._hidden:
            return []
        return [_BETWEEN if name is None else name.decode() for _address, name in self._kept]

    @property
    def data(self) -> dict[str, int]:
        """The variables with unambiguous names."""
        often = Counter(name for _address, name in self._variables)
        once = [(name, address) for address, name in self._variables if often[name] == 1]
        return {} if self._hidden else {name.decode(): int(at, 16) for name, at in once}


def _hits(lines: bytes, wanted: frozenset[bytes]) -> list[int]:
    """Return the offsets of lines with wanted functions, variants of them, or variables."""
    name_of = itemgetter(slice(lines.index(b" ") + 3, None))  # ADDRESS T NAME
    ends = []
    for name in (wanted | _DATA).intersection(map(name_of, lines.split(b"\n"))):
        ends += list(_each(lines, b" " + name + b"\n"))
    for dot in _each(lines, b"."):
        if lines[lines.rindex(b" ", 0, dot) + 1 : dot] in wanted:
            ends.append(dot)
    return sorted({lines.rfind(b"\n", 0, end) + 1 for end in ends})


def _each(lines: bytes, part: bytes) -> Iterator[int]:
    at = lines.find(part)
    while at >= 0:
        yield at
        at = lines.find(part, at + 1)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of the kernel itself, without modules, which can define any name."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        block = rest + block
        modules = block.find(b"\t[")
        end = block.rfind(b"\n", 0, modules if modules >= 0 else None) + 1
        if end:
            yield block[:end]
        if modules >= 0:
            return
        rest = block[end:]
