"""What real kernels gave for a small exercise (tools/ftrace-fixture made the files)."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.captures import FIXTURES, capture
from tests.sources.ftrace.builders import translator
from umtrace.correlate.umounts import UmountCorrelator

CAPTURES = sorted(FIXTURES.glob("ftrace-*.zip"))


@pytest.fixture(params=CAPTURES, ids=lambda path: path.stem)
def captured(request):
    return capture(request.param)


def test_there_are_captures():
    assert CAPTURES


def rows_of(captured):
    correlator = UmountCorrelator(clock_offset_ns=0, tier="ftrace")
    translate = translator(captured.shift)
    rows = correlator.feed(translate.feed(captured.records())).to_pylist()
    return rows + correlator.finish().to_pylist()


def test_rows_agree_with_the_ledger(captured):
    rows = [row for row in rows_of(captured) if row["origin"] == "umount"]
    expected = Counter((u["path"], u["mode"], u["errno"]) for u in captured.ledger["umounts"])
    assert Counter((row["path"], row["mode"], row["errno"]) for row in rows) == expected
    assert all(row["complete"] for row in rows)
    sizes = {u["path"]: u["n_mounts"] for u in captured.ledger["umounts"] if not u["errno"]}
    done = [row for row in rows if not row["errno"]]
    assert {row["path"]: row["n_mounts"] for row in done} == sizes
    assert {row["final_put"] for row in done} == {"self"}
    assert {row["fstype"] for row in done} == {"tmpfs"}


def test_phases_sum_up(captured):
    for row in rows_of(captured):
        phases = [row[name] or 0 for name in row if name.endswith("_ns") and name in PHASES]
        assert sum(phases) == row["latency_ns"]


PHASES = {"lookup_ns", "lock_ns", "tree_ns", "rcu_ns", "put_ns", "shutdown_ns", "other_ns"}
