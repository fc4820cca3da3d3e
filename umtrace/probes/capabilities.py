"""What a kernel offers to probe: symbols with their suffixes, BTF functions and members.

Only what umtrace can use is kept. So the offer of a whole kernel is a few KB of JSON, and the tests
make plans for those of all lab kernels (tools/kernel-tables).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.preemption import preemptible
from umtrace.kernel.symbols import Symbols
from umtrace.probes.constants import KNOWN_MEMBERS
from umtrace.probes.on_demand import MARKS
from umtrace.probes.purposes import PURPOSES, PUT_CALLS, SUBSTITUTES
from umtrace.probes.stacks import ENTRY, FUNCTIONS

#: functions that a plan may have, without those that are only searched on stacks
PROBED = frozenset(
    [candidate.function for meaning in PURPOSES for candidate in meaning.candidates]
    + [function for function, _stands_for in SUBSTITUTES]
)
_SUFFIX = re.compile(r"(?:\.(?:isra|constprop|part)\.\d+)+")
KNOWN = PROBED | {symbol.partition(".")[0] for symbols in FUNCTIONS.values() for symbol in symbols}
#: what to read of kallsyms
WANTED = frozenset(name.encode() for name in (*KNOWN, *ENTRY, *PUT_CALLS, *MARKS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one kernel has.

    Attributes
    ----------
    symbols : frozenset of str
        Known functions as kallsyms spells them, ``name`` or ``name.isra.0`` and the like,
        never ``.cold``; ``symbols_known`` is False where their addresses are hidden.
    btf_functions : frozenset of str
        Functions that BTF describes; ``btf_missing`` says why there is no BTF, else empty.
    members : mapping
        Struct member to byte offset; members that the kernel does not have are not in it.
    refused : mapping
        Symbol to the kernel's reason, for symbols where attaching failed.
    preemptible : bool
        Whether a task can be preempted in a fentry program.
    """

    release: str = ""
    symbols: frozenset[str] = frozenset()
    symbols_known: bool = True
    btf_functions: frozenset[str] = frozenset()
    btf_missing: str = ""
    members: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    preemptible: bool = False

    def without(self, symbol: str, reason: str) -> Capabilities:
        """Return this offer without a symbol where attaching failed."""
        return replace(self, refused={**self.refused, symbol: reason})

    def variants(self, function: str) -> list[str]:
        """Return the symbols of a function, the plain one first."""
        return sorted(s for s in self.symbols if s.partition(".")[0] == function)

    def offset(self, path: str) -> int | None:
        """Return the offset of a struct member, None if absent."""
        return self.members.get(path)

    def to_dict(self) -> dict[str, Any]:
        """Return the offer as a dictionary for JSON, everything sorted."""
        words = {name: sorted(v) if isinstance(v, frozenset) else v for name, v in _items(self)}
        return words | {"members": dict(sorted(self.members.items()))}

    @classmethod
    def from_dict(cls, words: Mapping[str, Any]) -> Capabilities:
        """Return the offer that ``to_dict`` gave."""
        sets = {name: frozenset(words[name]) for name in ("symbols", "btf_functions")}
        return cls(**{**words, **sets})


def _items(offer: Capabilities) -> Iterable[tuple[str, Any]]:
    return asdict(offer).items()


def known_symbols(names: Iterable[str]) -> frozenset[str]:
    """Return the names that are known functions, plain or with a compiler's suffix."""
    return frozenset(name for name in names if _is_known(name))


def _is_known(name: str) -> bool:
    base, dot, _rest = name.partition(".")
    return base in KNOWN and (not dot or bool(_SUFFIX.fullmatch(name[len(base) :])))


def capabilities_of(
    symbols: Symbols, btf: Btf | None, *, btf_missing: str = "", release: str = ""
) -> Capabilities:
    """Return what the tables of this kernel offer."""
    members, functions = {}, frozenset[str]()
    if btf is not None:
        found = {path: btf.offset(path) for path in KNOWN_MEMBERS}
        members = {path: offset for path, offset in found.items() if offset is not None}
        functions = frozenset(name for name in KNOWN if btf.function_exists(name))
    return Capabilities(
        release=release,
        symbols=known_symbols(symbols.names),
        symbols_known=symbols.known,
        btf_functions=functions,
        btf_missing=btf_missing,
        members=members,
        preemptible=preemptible(),
    )


def this_kernel(symbols: Symbols) -> Capabilities:
    """Return the offer of the running kernel; reads only."""
    release = os.uname().release
    try:
        with Btf() as btf:
            return capabilities_of(symbols, btf, release=release)
    except BtfUnavailableError as error:
        return capabilities_of(symbols, None, btf_missing=str(error), release=release)


if __name__ == "__main__":
    json.dump(this_kernel(Symbols.load(wanted=WANTED)).to_dict(), sys.stdout, indent=1)
    sys.stdout.write("\n")
