"""What was predicted of each design beside what a kernel that has it did: pure, of recordings.

A cell is one load of one seed under one design. Its prediction is made of the recording under A of
the same seed, by `umtrace.whatif`; what was observed is of the recording under the design.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

import umtrace
from umtrace.whatif.designs import DESIGNS
from umtrace.whatif.load import COLUMNS, FREE, Load, load_of
from umtrace.whatif.simulate import Outcome, simulate

KINDS = ("sync", "lazy", "teardown")
QUANTILES = (0.5, 0.9)
JIFFY_NS = 4_000_000  # CONFIG_HZ_250
#: what is compared: caller waits, and from the begin until the file system is shut down
TIMES = ("caller", "gone")
TOLERANCE = 0.15
#: of a claim by open(2) after the return, under emulation
CLAIM_NS = 100_000
Row = dict[str, Any]


class Run:
    """A recording and its ledger: FOLDER.umt and FOLDER.json."""

    def __init__(self, stem: Path) -> None:
        self.recording = umtrace.load(stem.with_suffix(".umt"))
        self.ledger = json.loads(stem.with_suffix(".json").read_text())
        self.loads = {each["load"]: each for each in self.ledger["loads"]}

    def span(self, load: str) -> tuple[pd.Timestamp, pd.Timestamp]:
        """When a load began and ended."""
        one = self.loads[load]
        begin, end = (pd.Timestamp(one[key], tz="UTC") for key in ("begin_ns", "end_ns"))
        return begin, end

    def rows(self, load: str) -> pd.DataFrame:
        """Return the umounts of a load that succeeded."""
        rows, (begin, end) = self.recording.umounts, self.span(load)
        inside = rows[(rows["t_start"] >= begin) & (rows["t_start"] < end)]
        return inside[(inside["errno"] == 0) | (inside["origin"] == "ns-exit")]

    def arrays(self, load: str) -> Load:
        """Return what the simulation takes."""
        return load_of(self.recording.select(span=self.span(load)).batches(COLUMNS))


def observed(run: Run, load: str) -> Row:
    """Return what happened in a load."""
    rows = run.rows(load)
    teardown = rows["origin"] != "umount"
    kinds = np.where(teardown, "teardown", rows["mode"].astype(str))
    caller = rows["latency_ns"].astype("float64")
    gone = caller + rows["tail_ns"].astype("float64").fillna(0)
    known = rows["complete"].to_numpy(bool)
    found = {kind: _times(caller[kinds == kind], gone[kinds == kind]) for kind in KINDS}
    counts = run.loads[load]["counts"]
    claims = run.loads[load].get("claims", [])
    return {
        "times": found,
        "rows": len(rows),
        "incomplete": int((~known).sum()),
        "kinds": {str(k): int(n) for k, n in rows["rcu_kind"].value_counts().items() if n},
        "puts": {str(k): int(n) for k, n in rows["final_put"].value_counts().items() if n},
        "held": int((rows["n_held"].fillna(0) > 0).sum()),
        "counts": {key: counts[key] for key in _COUNTS},
        "ebusy": {mode: _ebusy(claims, lazy=mode == "lazy") for mode in ("sync", "lazy")},
    }


_COUNTS = (
    "operations", "mounts", "held_operations", "waits", "rounds", "deepest", "most_running",
    "normal_grace_periods", "expedited_grace_periods",
)  # fmt: skip


def _ebusy(claims: Sequence[Mapping[str, Any]], *, lazy: bool) -> int:
    return sum(each["lazy"] == lazy and each["first"] == "EBUSY" for each in claims)


def predicted(run: Run, load: str, design: str) -> Row:
    """Return what the simulation says of a load that was recorded under A."""
    arrays = run.arrays(load)
    lengths = np.array(run.ledger["normal_gp_ns"], np.int64)
    outcome = simulate(arrays, DESIGNS[design], lengths=lengths, jiffy_ns=JIFFY_NS)
    done = arrays.succeeded
    gone = outcome.gone - outcome.begin
    found = {}
    for number, kind in enumerate(KINDS):
        at = done & (arrays.kind == number)
        found[kind] = _times(pd.Series(outcome.caller[at]), pd.Series(gone[at]))
    late = done & (outcome.gone - outcome.returned > CLAIM_NS)
    return {
        "times": found,
        "counts": {
            "waits": int((outcome.waits & done).sum()),
            "deepest": _deepest(arrays, outcome),
        },
        "grace_periods": outcome.grace_periods,
        "held": int((done & (arrays.held != FREE)).sum()),
        "ebusy": {
            mode: int((late & (arrays.kind == KINDS.index(mode))).sum())
            for mode in ("sync", "lazy")
        },
    }


def _deepest(load: Load, outcome: Outcome) -> int:
    late = outcome.deferred & load.succeeded
    steps = [(at, int(n)) for at, n in zip(outcome.unlocked[late], load.mounts[late], strict=True)]
    steps += [(at, -int(n)) for at, n in zip(outcome.gone[late], load.mounts[late], strict=True)]
    depth = most = 0
    for _, step in sorted(steps):
        depth += step
        most = max(most, depth)
    return most


def _times(caller: pd.Series[Any], gone: pd.Series[Any]) -> Row | None:
    if not len(caller):
        return None
    ranked = {"caller": caller, "gone": gone}
    return {"n": len(caller)} | {
        f"{name}_p{round(q * 100)}_ns": int(np.quantile(values, q, method="inverted_cdf"))
        for name, values in ranked.items()
        for q in QUANTILES
    }


def held_beside_kernel(run: Run, load: str) -> tuple[int, int, list[tuple[int, int]]]:
    """Compare n_held with the kernel's own count, task by task, operation by operation.

    Returns
    -------
    compared, equal : int
    differ : list of tuple
        n_held and the kernel's count where they are not the same; -1 is unknown.
    """
    rows = run.rows(load)
    rows = rows[rows["n_mounts"].fillna(1) > 0].sort_values("t_start")
    said: dict[int, list[int]] = {}
    for tid, held in zip(rows["tid"], rows["n_held"].fillna(-1), strict=True):
        said.setdefault(int(tid), []).append(int(held))
    kernel: dict[int, list[int]] = {}
    for _, tid, _, _, held, _, _ in run.loads[load]["ops"]:
        kernel.setdefault(tid, []).append(held)
    pairs = [pair for tid, values in said.items() for pair in _pairs(values, kernel.get(tid, []))]
    differ = [pair for pair in pairs if pair[0] != pair[1]]
    return len(pairs), len(pairs) - len(differ), differ


def _pairs(ours: Sequence[int], theirs: Sequence[int]) -> Iterator[tuple[int, int]]:
    if len(ours) != len(theirs):  # one has an operation that the other has not
        yield from ((each, -1) for each in ours)
    else:
        yield from zip(ours, theirs, strict=True)


def apart(a: float, b: float) -> float:
    """Return how far two times are apart, of the larger one."""
    return abs(a - b) / max(a, b, 1)


def cells(results: Sequence[Row]) -> Iterator[tuple[Row, str, str, float, float]]:
    """Yield (result, kind, quantity, predicted ns, observed ns)."""
    for result in results:
        for kind in KINDS:
            ours, theirs = (result[side]["times"].get(kind) for side in ("predicted", "observed"))
            for name in _names():
                if ours and theirs:
                    yield result, kind, name, ours[name], theirs[name]


def _names() -> list[str]:
    return [f"{time}_p{round(q * 100)}_ns" for time in TIMES for q in QUANTILES]


def noise(again: Sequence[Row]) -> dict[str, float]:
    """Return how far two runs under A with the same seed are apart, the median, by load and kind."""
    found: dict[str, list[float]] = {}
    for result, kind, name, a, b in cells(again):
        found.setdefault(key_of(result["load"], kind, name), []).append(apart(a, b))
    return {key: median(values) for key, values in found.items()}


def key_of(load: str, kind: str, name: str) -> str:
    """Name a quantity of a load."""
    return f"{load} {kind} {name}"


def order_right(results: Sequence[Row], noise_of: Mapping[str, float]) -> tuple[int, int]:
    """Return of how many pairs of designs the order was predicted, and of how many there are.

    Pairs of one load, seed and kind whose medians of what callers wait, or of the time until the
    file system is shut down, are further apart than the tolerance.
    """
    groups: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for result, kind, name, ours, theirs in cells(results):
        if name.endswith("_p50_ns"):
            key = (result["seed"], result["load"], kind, name)
            groups.setdefault(key, []).append((ours, theirs))
    right = pairs = 0
    for (_, load, kind, name), found in groups.items():
        least = tolerance(noise_of.get(key_of(load, kind, name), 0))
        for place, (a, b) in enumerate(found):
            for c, d in found[place + 1 :]:
                if apart(b, d) > least:
                    pairs += 1
                    right += (a < c) == (b < d)
    return right, pairs


def tolerance(of_noise: float) -> float:
    """Return how far a prediction may be from what was observed."""
    return max(TOLERANCE, 2 * of_noise)
