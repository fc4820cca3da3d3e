"""The ledger as lines for a terminal, at most 80 columns wide."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from statistics import median
from typing import Final

from umtrace.exercise.calls import mode_of
from umtrace.exercise.ledger import Ledger, Teardown

_HEAD: Final = ("SCENARIO", "MODE", "CALLS", "OK", "EBUSY", "OTHER", "MOUNTS", "P50_US", "MAX_US")
_US: Final = 1000
_WIDTH: Final = 80


class _Line:
    """The calls of one scenario and mode."""

    def __init__(self) -> None:
        self.ok = self.busy = self.other = self.mounts = 0
        self.latencies: list[int] = []

    def add(self, latency_ns: int, failed: int, n_mounts: int) -> None:
        self.latencies.append(latency_ns)
        self.mounts += n_mounts
        if not failed:
            self.ok += 1
        elif failed == errno.EBUSY:
            self.busy += 1
        else:
            self.other += 1

    def cells(self) -> tuple[str, ...]:
        counts = (len(self.latencies), self.ok, self.busy, self.other, self.mounts)
        times = (median(self.latencies) / _US, max(self.latencies) / _US)
        return (*(str(count) for count in counts), *(f"{time:.1f}" for time in times))


def summary(ledger: Ledger) -> Iterator[str]:
    """Yield the lines."""
    yield f"mounts under {ledger.root}"
    yield f"mount namespace {ledger.mntns}, pid {ledger.pid}, kernel {ledger.kernel}"[:_WIDTH]
    yield ""
    yield _row(_HEAD)
    for (scenario, mode), line in _lines(ledger).items():
        yield _row((scenario, mode, *line.cells()))
    yield f"{len(ledger.umounts)} umount2 calls"
    yield ""
    if ledger.ns_exits:
        yield f"{len(ledger.ns_exits)} namespaces ended by an exiting task"
    if ledger.teardown is not None:
        yield "1 namespace ended by setns" + _size(ledger.teardown)
    if ledger.walks:
        yield f"{ledger.walks} rounds made by the walkers"
    yield from (f"note: {note}" for note in ledger.notes)


def _lines(ledger: Ledger) -> dict[tuple[str, str], _Line]:
    contexts = ledger.umounts.contexts
    lines: dict[tuple[str, str], _Line] = {}
    for _start, latency, _tail, number, flags, failed, n_mounts, _retry in ledger.umounts.raw():
        key = (contexts[number].scenario, mode_of(flags))
        lines.setdefault(key, _Line()).add(latency, failed, n_mounts)
    return lines


def _row(cells: tuple[str, ...]) -> str:
    scenario, mode, *numbers = cells
    return f"{scenario:<10} {mode:<4}" + "".join(f"{number:>9}" for number in numbers)


def _size(teardown: Teardown) -> str:
    return "" if teardown.n_mounts is None else f", {teardown.n_mounts} mounts in it"
