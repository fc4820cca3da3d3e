"""Record the exercise and compare what was seen with its ledger, and tier with tier."""

from __future__ import annotations

from umtrace.selftest.agreement import run_together
from umtrace.selftest.counts import run
from umtrace.selftest.result import Agreement, Check, Result

__all__ = ["Agreement", "Check", "Result", "run", "run_together"]
