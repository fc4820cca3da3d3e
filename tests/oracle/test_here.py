"""The workload under the tiers that this kernel has, whatever they are."""

from __future__ import annotations

import shutil

import pytest

from tests.oracle import ledger
from tests.oracle.run import observe, wrong
from tests.working_tiers import working_tiers
from umtrace.model.tiers import names

pytestmark = pytest.mark.kernel
FILES = 100_000
LEAST_KINDS = 75
TRIES = 3


@pytest.fixture(scope="module")
def workload(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("a C compiler is needed: apt-get install gcc libc6-dev")
    return ledger.build(tmp_path_factory.mktemp("oracle") / "workload")


@pytest.fixture(scope="module")
def works():
    return working_tiers()


@pytest.mark.parametrize("tier", names())
def test_every_row_is_what_was_done(tmp_path, workload, works, tier):
    if tier not in works:
        pytest.skip(f"this kernel has no tier {tier}: umtrace doctor says why")
    for again in range(TRIES):
        found = observe(tier, workload, tmp_path / f"{tier}{again}", FILES)
        assert "failed" not in found, found["failed"]
        if not (found["lost"] and wrong(found)):  # else a busy host may be why: rows are marked
            break
    if found["lost"] and wrong(found):
        pytest.skip(f"this host is too busy: {found['lost']} in each of {TRIES} runs")
    assert found["differences"] == []
    assert found["seen"] == [], "the table of the unseen has something that is seen"
    assert found["tier"] == tier
    assert found["kinds"] >= LEAST_KINDS
