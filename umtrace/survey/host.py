"""What a survey says of the host and of how it was traced."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from umtrace.kernel.rcu import rcu_state
from umtrace.survey.bounded import kernel_version
from umtrace.version import __version__

_RT, _DYNAMIC, _FULL, _LAZY = "PREEMPT_RT", "PREEMPT_DYNAMIC", "PREEMPT", "PREEMPT_LAZY"
_MODELS = (_RT, _DYNAMIC, _LAZY, _FULL)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+]{0,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Facts that many hosts share; None is unknown.

    ``cpus`` is the number of CPUs that are online, ``preempt`` the preemption model that the
    kernel was built with, ``seconds`` how long it was traced.
    """

    kernel: str
    preempt: str
    cpus: int | None
    rcu_normal: int | None
    rcu_expedited: int | None
    tier: str
    seconds: float | None
    umtrace: str = __version__


def this_host(*, tier: str, seconds: float) -> Host:
    """Return the facts of the host that this runs on."""
    name, rcu = os.uname(), rcu_state()
    return Host(
        kernel=kernel_version(name.release),
        preempt=preempt_of(name.version),
        cpus=os.cpu_count(),
        rcu_normal=rcu["rcu_normal"],
        rcu_expedited=rcu["rcu_expedited"],
        tier=tier,
        seconds=seconds,
    )


def recorded_host(
    *, kernel: str, rcu: object, tier: str, seconds: float | None, version: str
) -> Host:
    """Return the facts that a recording has: its texts are somebody else's.

    Parameters
    ----------
    kernel : str
        As ``uname -r``, ``-v`` and ``-m`` print it, with blanks between.
    rcu : object
        What `rcu_state` returned, or anything.
    """
    release, _, built = kernel.partition(" ")
    state = rcu if isinstance(rcu, Mapping) else {}
    known = _VERSION.fullmatch(version)
    return Host(
        kernel=kernel_version(release),
        preempt=preempt_of(built),
        cpus=None,
        rcu_normal=_switch(state.get("rcu_normal")),
        rcu_expedited=_switch(state.get("rcu_expedited")),
        tier=tier,
        seconds=seconds,
        umtrace=version if known else "unknown",
    )


def preempt_of(version: str) -> str:
    """Return the preemption model in the output of ``uname -v``."""
    words = version.split()
    return next(
        (model for model in _MODELS if model in words),
        "no PREEMPT" if words else "preemption unknown",
    )


def _switch(value: object) -> int | None:
    return value if isinstance(value, int) and value in {0, 1} else None
