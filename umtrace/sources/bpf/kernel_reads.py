"""What the probe programs need to read variables of this kernel: addresses, and how they load."""

from __future__ import annotations

from collections.abc import Mapping

from umtrace.kernel.symbols import Symbols
from umtrace.sources.bpf.capability_probe import long_loops, plain_loads
from umtrace.sources.bpf.kernel_tables import CAST, WORD_TYPE

_ADDRESSES = {
    "UM_ADDR_UNMOUNTED": "unmounted",
    "UM_ADDR_RCU_STATE": "rcu_state",
    "UM_ADDR_NAMESPACE_SEM": "namespace_sem",
}


def reading_constants(symbols: Symbols, btf_ids: Mapping[str, int]) -> dict[str, int | str]:
    """Return the constants of ``bpf/config.h`` for what is known.

    Parameters
    ----------
    symbols : Symbols
    btf_ids : mapping
        As ``kernel_tables.Tables`` has them.
    """
    found = {name: symbols.data_address(variable) for name, variable in _ADDRESSES.items()}
    constants: dict[str, int | str] = {
        name: f"{address:#x}ULL" for name, address in found.items() if address
    }
    if plain_loads(btf_ids.get(CAST, 0), btf_ids.get(WORD_TYPE, 0)):
        constants["UM_WORD_TYPE"] = btf_ids[WORD_TYPE]
    if long_loops():
        constants["UM_BPF_LOOP"] = 1
    return constants
