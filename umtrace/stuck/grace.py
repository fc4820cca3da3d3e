"""What delays an RCU grace period: its thread gets no CPU, or a CPU does not leave the kernel.

Compares two samples of the tasks that are runnable. A CPU that is in the kernel with interrupts off
does not count the time of its task, so nothing is found there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from umtrace.stuck.answer import Cause
from umtrace.stuck.sample import Sample

#: threads without which a grace period does not end; those of callbacks and boosting, too
_THREADS = re.compile(r"^rcu(?:_preempt|_sched|_bh|[cbg]/\d+|o[pgs]+/\d+|_exp_\w*|_par_gp|_gp)")
_TEXT = "an RCU grace period: "
_UNKNOWN = "a CPU that does not leave the kernel delays it (dmesg names it after 21 s)"
_NS_PER_S = 1_000_000_000
_TICK_NS = _NS_PER_S // os.sysconf("SC_CLK_TCK")
#: of the time it ran: a task in user mode lets grace periods end
_IN_KERNEL = 0.8
_LEAST_NS = 100_000_000


def delayed_by(before: Iterable[Sample], now: Mapping[int, Sample]) -> Cause:
    """Return what delays the grace period, as far as two samples of each task show it.

    Parameters
    ----------
    before : iterable of Sample
        The first samples.
    now : mapping
        By thread id, later samples of those that were runnable.
    """
    pairs = [(old, now[old.tid]) for old in before if old.tid in now]
    pairs = [(a, b) for a, b in pairs if a.state == b.state == "R" and a.started == b.started]
    for old, new in pairs:
        if _THREADS.match(new.comm) and old.ran and old.ran == new.ran:
            return _starved(new, [b for a, b in pairs if b.cpu == new.cpu and _ran(a, b)])
    for old, new in pairs:
        if _never_leaves(old, new):
            text = f"CPU {new.cpu} does not leave the kernel, where {_name(new)} runs"
            return Cause(text=_TEXT + text, pids=(new.pid,))
    return Cause(text=_TEXT + _UNKNOWN)


def _starved(thread: Sample, running: list[Sample]) -> Cause:
    text = f"{_TEXT}its thread {thread.comm} (pid {thread.pid}) gets no time on CPU {thread.cpu}"
    if running:
        text += f", where {' and '.join(map(_name, running[:2]))} run{'s' * (len(running) == 1)}"
    pids = tuple(each.pid for each in running)
    if len(running) == 1 and running[0].realtime:
        remedy = "the task then shares its CPU with others"
        return Cause(text=text, command=f"chrt -o -p 0 {running[0].tid}", remedy=remedy, pids=pids)
    return Cause(text=text, pids=pids)


def _never_leaves(old: Sample, new: Sample) -> bool:
    """Whether a task ran on one CPU without a switch, in the kernel."""
    ran_ns = _ran(old, new)
    if old.cpu != new.cpu or ran_ns < _LEAST_NS or old.slices != new.slices:
        return False
    return (new.stime - old.stime + 1) * _TICK_NS >= _IN_KERNEL * ran_ns


def _ran(old: Sample, new: Sample) -> int:
    return new.ran_ns - old.ran_ns


def _name(sample: Sample) -> str:
    return f"{sample.comm} (pid {sample.pid})"
