from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from tests.present.reports import of_rows
from tests.stats.rows import batch_of, container_host, row
from umtrace.model.umounts import PHASES
from umtrace.present.hist import histogram_dict
from umtrace.present.report.as_csv import report_csv
from umtrace.present.report.as_json import report_json
from umtrace.present.report.as_markdown import report_markdown
from umtrace.stats.summarize import summarize


def _json(rows, heading, **options):
    return json.loads(report_json(of_rows(rows, heading, **options)))


def test_json_has_the_documented_shape(heading):
    data = _json([row(rcu_ns=10, other_ns=30), row(errno=16, rcu_ns=0, other_ns=20)], heading)
    (group,) = data["groups"]
    assert group["key"] == {"mode": "sync"}
    assert (group["count"], group["errno"], group["incomplete"]) == (2, {"EBUSY": 1}, 0)
    assert group["latency_ns"] == {
        "n": 1,
        "n_zero": 0,
        "n_null": 0,
        "p50": 40,
        "p90": 40,
        "p99": 40,
        "max": 40,
        "mean": 40.0,
    }
    assert (group["rcu_ns"]["n"], group["rcu_ns"]["n_zero"]) == (1, 0)
    assert group["rcu_share"] == 10 / 40
    assert list(group["phases"]) == list(PHASES)
    lock = group["phases"]["lock_ns"]
    assert (lock["n_null"], lock["p50"], lock["share"]) == (1, None, None)
    assert data["losses"]["ring_events"] == 0
    assert data["meta"]["start"] == "2026-01-01T00:00:00.000000000Z"


def test_json_of_nothing_is_still_json(heading):
    assert _json([], heading)["groups"] == []


def test_histogram_json_counts_every_umount_that_waited(heading):
    summary = summarize([batch_of(container_host())], metrics=("rcu_ns",))
    data = histogram_dict(summary, heading, "rcu_ns")
    for group in data["groups"]:
        assert sum(number for _, _, number in group["bins"]) == group["n"]
        assert group["p99"] <= group["bins"][-1][1]


def test_csv_is_one_line_per_group_with_empty_for_null(heading):
    report = of_rows(container_host(), heading, ["groups"], by=("mode", "fstype"))
    lines = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert [(line["mode"], line["fstype"]) for line in lines] == [
        ("sync", "tmpfs"),
        ("lazy", "overlay"),
    ]
    assert sum(int(line["count"]) for line in lines) == 200
    assert lines[0]["lock_ns_p50"] == ""
    assert lines[0]["errno"] == "EBUSY:13"
    assert lines[1]["shutdown_ns_n_zero"] == lines[1]["count"]


def test_markdown(golden, heading):
    golden("report.md", report_markdown(of_rows(container_host(), heading)))


def test_markdown_tells_damage(heading):
    damaged = replace(heading, problems=("umounts-00001.parquet: damaged, skipped",))
    text = report_markdown(of_rows([], damaged))
    assert "DAMAGED: umounts-00001.parquet" in text


def test_markdown_says_what_was_left_out_and_what_it_comes_to(heading):
    chosen = replace(heading, filtered="--comm umo*", recorded_only="--mode sync")
    text = report_markdown(of_rows([row(latency_ns=9, rcu_ns=9)], chosen))
    assert "- only: --comm umo\\*\n" in text
    assert "- recorded only: --mode sync\n" in text
    assert "- RCU wait: 100 % of the time of 1 umount" in text


def test_no_text_of_a_recording_is_markup(heading):
    report = of_rows([row(comm="a|b<i>_c_`")], heading, by=("comm",))
    assert "| a\\|b\\<i\\>\\_c\\_\\` |" in report_markdown(report)
