"""Texts of other tools that a real kernel wrote, beside what the recorder had."""

from __future__ import annotations

import json
import zipfile

import pytest

from bench.captures import FIXTURES
from tests.sources.ftrace.test_text import rows


@pytest.fixture
def lab():
    """Texts of a real kernel, and the rows that fentry recorded at the same time."""
    with zipfile.ZipFile(FIXTURES / "trace-cmd-6.12.zip") as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_real_report_gives_the_rows_of_the_recorder_beside_it(tmp_path, lab):
    live = sorted(map(json.loads, lab["live.jsonl"].splitlines()), key=lambda r: r["t_start"])
    imported = rows(tmp_path, lab["report.txt"])
    same = ("mode", "errno", "tid", "complete", "final_put")
    assert [[r[c] for c in same] for r in imported] == [[r[c] for c in same] for r in live]
    ratios = [i["latency_ns"] / r["latency_ns"] for i, r in zip(imported, live, strict=True)]
    assert all(0.8 < ratio < 1.25 for ratio in ratios)


def test_real_texts_of_tracefs(tmp_path, lab):
    (graph,) = rows(tmp_path, lab["graph.txt"])
    assert (graph["complete"], graph["errno"], graph["mode"]) == (True, 0, "sync")
    assert graph["syscall_ns"] == 2_566_000
    (function,) = rows(tmp_path, lab["function.txt"])
    assert (function["complete"], function["mode"]) == (False, "sync")
