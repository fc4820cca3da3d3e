"""The switch of the kernel's function tracer, which probes at functions depend on.

While ``kernel.ftrace_enabled`` is 0, the kernel accepts a probe that stands where the tracer calls,
and does not call it. Programs at function entries stand there, and kprobes where the kernel was
built with CONFIG_KPROBES_ON_FTRACE, as on x86.
"""

from __future__ import annotations

from pathlib import Path

from umtrace.kernel.config import options_off
from umtrace.model.errors import NoTierError

_SWITCH = Path("/proc/sys/kernel/ftrace_enabled")
_KPROBES_TOO = ("CONFIG_KPROBES_ON_FTRACE",)
OFF = "the kernel calls no probes at functions: kernel.ftrace_enabled is 0"
REMEDY = "sysctl kernel.ftrace_enabled=1, as root"


def switched_off(placement: str) -> bool:
    """Return whether probes at functions are never called.

    Parameters
    ----------
    placement : str
        Of a tier: fentry or kprobe; empty has no such probes.
    """
    if not placement or (placement == "kprobe" and options_off(_KPROBES_TOO)):
        return False
    try:
        return _SWITCH.read_text().strip() == "0"
    except OSError:
        return False  # this kernel has no such switch


def require_function_tracing(placement: str) -> None:
    """Raise NoTierError where probes at functions are never called."""
    if switched_off(placement):
        raise NoTierError(OFF)
