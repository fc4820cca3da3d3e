"""The self test itself, on this kernel."""

from __future__ import annotations

import json

import pytest

from tests.system.umtrace_command import umtrace
from umtrace.selftest import run_together

pytestmark = pytest.mark.kernel


def test_its_json_has_every_check_and_what_the_tier_fills():
    done = umtrace("selftest", "--tier", "tracepoint", "--json")
    found = json.loads(done.stdout)
    (tier,) = found["tiers"]
    assert tier["ok"]
    assert {"latency_ns", "errno", "path"} <= set(tier["columns"])
    assert sum(tier["rcu_kinds"].values()) > 0
    assert found["together"] == []


def test_two_recorders_at_once_agree():
    (pair,) = run_together(["tracepoint", "tracepoint"])
    assert [check for check in pair.checks if not check.ok] == []
    assert pair.waits > 0
    assert pair.rcu_ratio > 0
