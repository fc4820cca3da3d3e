"""A tier that fails while it runs is reported, and the others go on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from umtrace.cli.main import umtrace
from umtrace.diagnosis import diagnose
from umtrace.model.tiers import TIERS
from umtrace.selftest import agreement
from umtrace.sources import select
from umtrace.sources.ftrace.static_source import StaticSource

pytestmark = pytest.mark.kernel
BROKEN = "ftrace-static"


class Breaks(StaticSource):
    """Attaches like the real one, and fails as it did where an event lacked a field."""

    def read(self, timeout_s):
        super().read(timeout_s)
        raise KeyError("pid")


@pytest.fixture(autouse=True)
def broken(monkeypatch):
    tiers = {**select.LIVE_TIERS, BROKEN: lambda *_: Breaks()}
    monkeypatch.setattr(select, "LIVE_TIERS", tiers)


def test_selftest_reports_it_and_goes_on(monkeypatch):
    # The two that every host has: the function tiers are tried in the lab.
    kept = {name: select.LIVE_TIERS[name] for name in (BROKEN, "tracepoint")}
    monkeypatch.setattr(select, "LIVE_TIERS", kept)
    done = CliRunner().invoke(umtrace, ["selftest", "--json"])
    assert done.exit_code == 1
    tiers = {tier["tier"]: tier for tier in json.loads(done.stdout)["tiers"]}
    assert tiers["tracepoint"]["ok"]
    (check,) = tiers[BROKEN]["checks"]
    assert (check["what"], check["ok"]) == ("runs to its end", False)
    assert check["seen"] == "no: KeyError: 'pid'"


def test_selftest_of_it_alone_says_so_in_a_line():
    done = CliRunner().invoke(umtrace, ["selftest", "--tier", BROKEN])
    assert done.exit_code == 1
    assert "WRONG  runs to its end" in done.stdout
    assert "no: KeyError: 'pid'" in done.stdout


def test_tiers_beside_it_are_still_compared(monkeypatch):
    # Else one that knows no paths is left out.
    monkeypatch.setattr(agreement, "tier_named", lambda name: replace(TIERS[0], name=name))
    compared, alone = agreement.run_together(["tracepoint", BROKEN, "tracepoint"])
    assert compared.tiers == ("tracepoint", "tracepoint")
    assert [check for check in compared.checks if not check.ok] == []
    assert alone.tiers == (BROKEN, BROKEN)
    assert not alone.ok


def test_doctor_says_that_it_fails():
    tiers = {tier.tier: tier for tier in diagnose().tiers}
    assert not tiers[BROKEN].works
    assert tiers[BROKEN].reason == "fails: KeyError: 'pid'"
    assert tiers["tracepoint"].works
