"""Checks of their own, in a guest: churn, storms, probes that come and go, traces of others."""

from __future__ import annotations

import pytest

from tests.lab.guest import end_of, in_guest

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNEL = "6.12"
CHECKS = (
    "scripts/churn --tier fentry --seconds 60",
    "scripts/storm --tier fentry --tasks 16 --seconds 2",
    "scripts/adaptive",
    "scripts/ftrace-beside import_equals_live without_btf",
)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_ends_with_0(check):
    done = in_guest(KERNEL, check)
    assert done.returncode == 0, end_of(done)
