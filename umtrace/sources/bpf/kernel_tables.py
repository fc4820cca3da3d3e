"""What the tables of this kernel say, its symbols and BTF: they are read once in a boot.

kallsyms has 200,000 lines, which the kernel writes again for every reader, and BTF has some
megabytes. The part that is needed is a few KB and does not change before the next boot, so it is
cached beside the programs that were compiled with it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from umtrace.kernel import btf as btf_module
from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.preemption import preemptible
from umtrace.kernel.symbols import Symbols
from umtrace.probes.capabilities import PROBED, WANTED, Capabilities, capabilities_of
from umtrace.probes.constants import KNOWN_MEMBERS, layout_constants
from umtrace.sources.bpf.program_cache import ProgramCache, file_state

_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: the kfunc with which a program loads from a number, and a struct that begins with 64 bits of data
CAST, WORD_TYPE = "bpf_rdonly_cast", "timespec64"
#: what a program for each task is attached to
ITERATOR = "bpf_iter_task"
#: modules that make what is cached: another version of one of them makes it again
_READERS = (
    "umtrace.kernel.btf",
    "umtrace.probes.constants",
    "umtrace.probes.capabilities",
    "umtrace.probes.stacks",
    "umtrace.kernel.symbols",
)


@dataclass(frozen=True, slots=True)
class Tables:
    """What was found in the tables; ``no_btf`` says why there is no BTF."""

    symbols: Symbols
    offer: Capabilities
    layout: dict[str, int]
    btf_ids: dict[str, int]
    no_btf: str = ""


def read() -> Tables:
    """Read the tables of the running kernel."""
    symbols = Symbols.load(wanted=WANTED)
    try:
        with Btf() as btf:
            ids = {name: btf.function_id(name) for name in (*PROBED, CAST, ITERATOR)}
            ids[WORD_TYPE] = btf.struct_id(WORD_TYPE)
            return Tables(symbols, capabilities_of(symbols, btf), layout_constants(btf), ids)
    except BtfUnavailableError as error:
        offer = capabilities_of(symbols, None, btf_missing=str(error))
        return Tables(symbols, offer, layout_constants(None), {}, str(error))


def load_cached(around: str, kept: ProgramCache) -> Tables:
    """Return what is cached of this boot; else read it, and cache it if it is complete.

    Parameters
    ----------
    around : str
        Hash of this kernel and this umtrace.
    kept : ProgramCache
    """
    key = _key(around)
    answer = kept.get(key) if key else None
    if answer:
        return _decoded(answer)
    tables = read()
    if key and tables.symbols.known and not tables.no_btf:
        kept.put(key, _encoded(tables))
    return tables


def _key(around: str) -> str:
    """Return the key in the cache; empty if this boot cannot be distinguished from others."""
    try:
        boot, types = _BOOT.read_text(), btf_module.VMLINUX.stat()
    except OSError:
        return ""
    # In another mount namespace, another file may be mounted at the path of BTF.
    which = _hash([around, boot, str(types.st_dev), str(types.st_size)])
    wanted = [
        *sorted(KNOWN_MEMBERS),
        *sorted(PROBED),
        *sorted(map(repr, WANTED)),
        CAST,
        WORD_TYPE,
        ITERATOR,
    ]
    return f"{which}-{_hash(wanted)}"


def _hash(words: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]


def _encoded(tables: Tables) -> dict[str, Any]:
    files = [str(sys.modules[name].__file__) for name in _READERS]
    return {
        "made_by": {path: file_state(path) for path in files},
        "symbols": tables.symbols.to_dict(),
        "offer": tables.offer.to_dict(),
        "layout": tables.layout,
        "btf_ids": tables.btf_ids,
    }


def _decoded(answer: dict[str, Any]) -> Tables:
    symbols = Symbols(**answer["symbols"])
    # The preemption mode of a kernel can change while it runs, so it is not cached.
    offer = replace(Capabilities.from_dict(answer["offer"]), preemptible=preemptible())
    return Tables(symbols, offer, answer["layout"], answer["btf_ids"])
