"""`umtrace fleet report`: each thing that can be wrong with a host has its verdict."""

from __future__ import annotations

import json
import os
import random
import shutil
import time

import pytest

from tests.fleet.fleets import HOUR_NS, cli_of, record, summarize
from tests.stats.rows import T0_NS, container_host, row
from umtrace.fleet.engine import run
from umtrace.fleet.items import tasks_in
from umtrace.fleet.mapping import Query, add_up, count
from umtrace.fleet.report import RESAMPLED

_SLOW = 10


def cli(*words):
    return cli_of("report", *words)


def text(*words):
    return cli(*words)[1]


def report(*words):
    return json.loads(text(*words, "--json"))


def verdicts(found):
    return {(each["kind"], each["host"]) for each in found["verdicts"]}


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """Ten hosts, one recording each; the last one is slow."""
    folder = tmp_path_factory.mktemp("ten")
    for number in range(10):
        rows = container_host(150, seed=number)
        if number == 9:
            rows = [_slower(each) for each in rows]
        record(folder / f"{number}.umt", rows, host=f"web{number}", boot=f"{number:032x}")
        summarize(folder / f"{number}.umt", folder / "fleet")
    return folder


@pytest.fixture
def fleet(ten, tmp_path):
    """A copy of their summaries."""
    return shutil.copytree(ten / "fleet", tmp_path / "fleet")


def _slower(each):
    return each | {name: each[name] * _SLOW for name in ("latency_ns", "rcu_ns")}


def test_it_counts_all_hosts_and_finds_the_slow_one(fleet):
    found = report(fleet)
    assert found["hosts"] == 10
    assert sum(group["count"] for group in found["groups"]) == 1500
    assert [row["host"] for row in found["outliers"]] == ["web9"]
    assert found["groups"][0]["latency_ns"]["p50_factor"] > 1
    assert found["groups"][0]["latency_ns"]["hosts"] == 10
    assert verdicts(found) == set()


def test_recordings_and_summaries_give_the_same(fleet, ten):
    a, b = report(fleet), report(ten, "--where", "host=web*")
    assert a["groups"] == b["groups"]
    assert {kind for kind, _ in verdicts(b)} == {"duplicate"}
    assert len(b["verdicts"]) == 10


def test_text_fits_into_80_columns(fleet):
    lines = text(fleet).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("web9" in line for line in lines)


@pytest.mark.parametrize("style", ["csv", "markdown"])
def test_other_formats(fleet, style):
    assert "web9" in text(fleet, "--format", style)


def test_expected_hosts(fleet, tmp_path):
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("# ours\n" + "\n".join(f"web{n}" for n in range(1, 12)))
    found = report(fleet, "--expect", hosts)
    assert verdicts(found) == {("missing", "web10"), ("missing", "web11"), ("unexpected", "web0")}
    assert "coverage: 9 of 11 expected hosts" in text(fleet, "--expect", hosts)


def test_a_late_host(fleet, tmp_path):
    early = T0_NS - 5 * HOUR_NS
    record(tmp_path / "e.umt", [row(t_start=early, rcu_ns=3)], host="old", start_ns=early)
    summarize(tmp_path / "e.umt", fleet)
    assert ("late", "old") in verdicts(report(fleet))


def _place(fleet, host):
    (path,) = (fleet / f"host={host}").rglob("*.parquet")
    return path


def test_a_truncated_file_costs_itself_only(fleet):
    path = _place(fleet, "web3")
    path.write_bytes(path.read_bytes()[:-100])
    found = report(fleet)
    assert found["hosts"] == 9
    assert verdicts(found) == {("damaged", "web3")}
    assert cli(fleet)[0] == 5


def test_a_file_under_another_host(fleet):
    path = _place(fleet, "web3")
    other = fleet / "host=web4" / path.parent.name
    path.rename(other / ("x" + path.name))
    assert verdicts(report(fleet)) == {("misfiled", "web4")}


def test_a_duplicate_is_counted_once(fleet):
    path = _place(fleet, "web3")
    (path.parent / "again.parquet").write_bytes(path.read_bytes())
    found = report(fleet)
    assert sum(group["count"] for group in found["groups"]) == 1500
    assert verdicts(found) == {("duplicate", "web3")}
    assert cli(fleet)[0] == 0


def test_clocks(fleet, tmp_path):
    future = time.time_ns() + 40 * HOUR_NS
    rows = [row(t_start=future, rcu_ns=3)]
    record(tmp_path / "f.umt", rows, host="ahead", start_ns=future)
    record(tmp_path / "p.umt", [row(t_start=10**9, rcu_ns=3)], host="unset", start_ns=10**9)
    for name in ("f", "p"):
        summarize(tmp_path / f"{name}.umt", fleet)
    os.utime(_place(fleet, "web1"), ns=(T0_NS - HOUR_NS, T0_NS - HOUR_NS))
    found = verdicts(report(fleet))
    assert {("wrong-clock", h) for h in ("ahead", "unset", "web1")} <= found


def test_a_reimaged_host_and_two_of_one_name(fleet, tmp_path):
    later = T0_NS + 30 * HOUR_NS
    record(
        tmp_path / "r.umt", [row(t_start=later, rcu_ns=3)], host="web1", boot="f" * 32,
        start_ns=later, kernel="6.18.1 x",
    )  # fmt: skip
    rows = [row(t_start=T0_NS + n * HOUR_NS, rcu_ns=3) for n in range(4)]
    record(tmp_path / "s.umt", rows, host="web2", boot="e" * 32, start_ns=T0_NS - 5)
    for name in ("r", "s"):
        summarize(tmp_path / f"{name}.umt", fleet)
    found = report(fleet)
    assert {("new-boot", "web1"), ("same-name", "web2")} <= verdicts(found)
    assert sum(group["count"] for group in found["groups"]) == 1505


def test_open_mixed_and_filtered(fleet, tmp_path):
    record(
        tmp_path / "o.umt", [row(t_start=T0_NS, rcu_ns=3, tier="kprobe")] * 3, host="open",
        close=False, tier="kprobe", format=(1, 9), filters={"comm": ["runc*"]},
    )  # fmt: skip
    found = report(fleet, tmp_path / "o.umt")
    kinds = {kind for kind, _ in verdicts(found)}
    assert {"cut-short", "filtered", "mixed-tiers", "mixed-versions"} <= kinds
    assert "runc" not in text(fleet, tmp_path / "o.umt")


def test_a_damaged_recording_costs_itself_only(fleet, tmp_path):
    record(tmp_path / "rec" / "d.umt", host="dam")
    (tmp_path / "rec" / "d.umt" / "meta.json").write_text("{")
    found = report(fleet, tmp_path / "rec")
    assert {kind for kind, _ in verdicts(found)} == {"damaged"}
    assert found["hosts"] == 10


def test_upper_bounds_stay_apart(fleet, tmp_path):
    rows = [row(t_start=T0_NS, rcu_ns=3, latency_bound="upper")] * 3
    record(tmp_path / "u.umt", rows, host="upper")
    groups = report(fleet, tmp_path / "u.umt", "--by", "none")["groups"]
    assert {g["key"]["latency_bound"]: g["count"] for g in groups} == {"exact": 1500, "upper": 3}


def test_where_and_span(fleet):
    assert report(fleet, "--where", "host=web[12]")["hosts"] == 2
    lazy = report(fleet, "--where", "mode=lazy", "--by", "mode")["groups"]
    assert {group["key"]["mode"] for group in lazy} == {"lazy"}
    assert cli(fleet, "--since", "2026-02-01")[0] == 2


def test_nothing_there(tmp_path):
    assert cli(tmp_path) == (2, "")
    assert cli(tmp_path / "not") == (2, "")


def test_any_order_and_split_gives_the_same_part(fleet):
    query = Query(by=("kernel", "mode"), resample=RESAMPLED, owners=True, now_ns=T0_NS)
    tasks = tasks_in([str(fleet)])
    whole = run(tasks, query)
    shuffled = random.Random(1).sample(tasks, len(tasks))
    parts = [count(task, query) for task in shuffled]
    tree = add_up([add_up(parts[:3], query), add_up(parts[3:4], query), *parts[4:]], query)
    for name in ("cells", "owners", "hosts", "verdicts"):
        assert getattr(tree, name) == getattr(whole, name), name
    assert tree.resampled.cells.keys() == whole.resampled.cells.keys()
    for key, weighted in whole.resampled.cells.items():
        assert (tree.resampled.cells[key].counts == weighted.counts).all()
