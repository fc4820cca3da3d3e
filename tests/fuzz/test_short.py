"""The fuzzers for some seconds, with fixed seeds; ``python -m tests.fuzz`` runs them for long."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import apart

COUNTS = {"streams": 300, "texts": 150, "recordings": 12}


@pytest.mark.parametrize("seed", ["ci-1", "ci-2"])
@pytest.mark.parametrize("kind", COUNTS)
def test_no_traceback_no_negative_time(kind, seed):
    assert apart(kind, seed, COUNTS[kind]) == ""
