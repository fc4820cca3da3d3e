"""Whether the last close of a descriptor of open_tree or fsmount puts the mount out of sight."""

from __future__ import annotations

from umtrace.kernel.code import calls
from umtrace.kernel.symbols import Symbols
from umtrace.probes.plan import Plan
from umtrace.probes.purposes import DETACHED_PUT, PUT, PUT_CALLS


def detached_put_constants(symbols: Symbols, plan: Plan) -> dict[str, int]:
    """Return the constant of ``bpf/config.h`` for ``dissolve_on_fput``; none if `PUT` sees all.

    7.3 puts the mount in ``dissolve_on_fput``; until 6.18 its caller does. No symbol or type shows
    that, so the code of the function is read for calls of what mntput consists of.
    """
    put, probed = plan.probe_for(PUT), plan.probe_for(DETACHED_PUT)
    if put is None or put.function in PUT_CALLS:
        return {}
    hides = calls(symbols, DETACHED_PUT.function, PUT_CALLS)
    if hides is False:
        return {}
    if probed is None:
        return {"UM_PUTS_HIDDEN": 1}
    return {"UM_DISSOLVE_PUTS" if hides else "UM_DISSOLVE_UNKNOWN": 1}
