from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.stats.rows import container_host, row
from umtrace.cli.main import run
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PROGRAMS, PlanLine


@pytest.fixture
def out(capsys):
    def call(*args):
        code = run(["diff", *map(str, args)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def two(write):
    rows = container_host(900)
    slower = [r | {"rcu_ns": r["rcu_ns"] * 4} for r in container_host(700, seed=9)]
    return write(rows, "a.umt"), write(slower, "b.umt", kernel="6.13.1", tier="kprobe")


def test_says_what_became_slower_and_by_how_much(out, two):
    code, text, err = out(*two)
    assert (code, err) == (0, "")
    assert "WARNING: different kernels: A 6.12.9-amd64, B 6.13.1" in text
    assert "WARNING: different tiers: A fentry, B kprobe" in text
    assert "sync: RCU wait p90 is 4.02 times longer in B (1.95 ms against 7.82 ms)" in text
    assert re.search("^RCU wait +p50 .* 3.84 .* slower$", text, re.MULTILINE)
    assert "all of them together hold with 95%" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_same_twice_is_no_difference(out, two):
    code, text, _ = out(two[0], two[0])
    assert code == 0
    assert "No difference shown in" in text
    changes = json.loads(out(two[0], two[0], "--json")[1])["changes"]
    assert {change["verdict"] for change in changes} == {None}


def test_json(out, two):
    data = json.loads(out(*two, "--json", "--mode", "sync")[1])
    assert data["groups"][0]["key"] == {"mode": "sync"}
    (change,) = (c for c in data["changes"] if (c["metric"], c["quantile"]) == ("rcu_ns", 0.5))
    assert change["verdict"] == "slower"
    assert 1 < change["low"] < change["ratio"] < change["high"]
    assert len(data["warnings"]) == 2


def test_another_share_of_failed_calls_is_a_warning(out, write):
    busy = [row(errno=16, latency_ns=5_000 + n) for n in range(60)]
    fine = [row(latency_ns=300_000 + n) for n in range(60)]
    a, b = write(fine, "a.umt"), write(fine[:20] + busy, "b.umt")
    said = "WARNING: failed: 0 of 60 in A, 60 of 80 in B"
    assert said in out(a, b)[1]
    assert said not in out(a, b, "--errno", "ok")[1]
    assert "failed:" not in out(b, b)[1]


def test_losses_and_damage_are_warnings(out, write):
    lossy = LossReport(ring_events=5, incomplete_rows=3)
    a, b = write([row(rcu_ns=5)] * 9, "a.umt", losses=lossy), write([], "b.umt")
    (chunk,) = a.glob("umounts-*.parquet")
    text = out(a, b)[1]
    assert "A lost events" in text
    assert "A has 3 incomplete rows" in text
    assert "Nothing to compare" in text
    assert "only in A" in text
    chunk.write_bytes(chunk.read_bytes()[:100])
    assert "A is damaged" in out(a, b)[1]
    assert chunk.name in out(a, b, "--json")[2]


def test_rcu_settings_are_compared(out, write):
    a, b = (
        write([], f"{n}.umt", extra={"rcu": {"rcu_normal": n}}, filters={"pid": [n]})
        for n in (0, 1)
    )
    text = " ".join(out(a, b)[1].split())
    assert "different RCU settings: A rcu_normal=0, B rcu_normal=1" in text
    assert "recorded with different filters" in text


def test_reasons_against_other_tiers_are_no_difference(out, write):
    plan = PlanLine(meaning="operation", probe="x", how="tp")
    refused = PlanLine(meaning="tier fentry", state="declined", reason="no")
    a, b = write([], "a.umt", plan=(plan,)), write([], "b.umt", plan=(plan, refused))
    c = write([], "c.umt", plan=(replace(plan, probe="y"),))
    assert "different probe plans" not in out(a, b)[1]
    assert "different probe plans" in out(a, c)[1]


def test_programs_that_were_compiled_or_kept_are_the_same(out, write):
    paths = [
        write([], f"{how}.umt", plan=(PlanLine(meaning=PROGRAMS, probe="compiled", how=how),))
        for how in ("bcc", "kept")
    ]
    assert "different probe plans" not in out(*paths)[1]


def test_buffers_of_two_runs_are_the_same(out, write):
    paths = []
    for pid in (11, 12):
        lines = [
            PlanLine(meaning=meaning, probe=f"instances/umtrace-{pid}-ab", how="trace instance")
            for meaning in ("buffer", "buffer of umounts", "buffer of their ends")
        ]
        paths.append(write([row(mode=None)], f"{pid}.umt", plan=lines))
    said = out(*paths)[1]
    assert "different probe plans" not in said
    assert "Note: mode -: no umount(2)" in said


def test_many_groups_are_cut_short(out, write):
    rows = [row(rcu_ns=5, fstype=f"fs{n}") for n in range(12)]
    path = write(rows)
    assert "and 4 groups more; --json lists all" in out(path, path, "--by", "fstype")[1]


def test_keys_are_checked(out, two):
    code, _, err = out(*two, "--by", "path")
    assert code == 2
    assert "cannot group by 'path'" in err
