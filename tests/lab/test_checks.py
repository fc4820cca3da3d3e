"""Checks of their own, in a guest: churn, storms, probes that come and go, traces of others."""

from __future__ import annotations

import json

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


#: what is recorded of the end of a mount namespace where the kernel hides its addresses
HIDDEN = """
sysctl -q kernel.kptr_restrict=2
for tier in fentry kprobe ftrace; do
	umtrace record -q --tier $tier -o /tmp/$tier.umt -- unshare -m true || exit
	umtrace export /tmp/$tier.umt --to jsonl || exit
done
"""


def test_an_origin_that_hidden_addresses_leave_open_is_null():
    done = in_guest(KERNEL, HIDDEN)
    assert done.returncode == 0, end_of(done)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [row for row in rows if row["comm"] == "true"]
    assert {row["tier"] for row in ends} == {"fentry", "kprobe", "ftrace"}
    assert {row["origin"] for row in rows} == {None}
    assert all(row["complete"] for row in ends)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_ends_with_0(check):
    done = in_guest(KERNEL, check)
    assert done.returncode == 0, end_of(done)
