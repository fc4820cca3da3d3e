"""DuckDB as the second implementation of the figures of a report."""

from __future__ import annotations

from bench import duckdb_report, scale
from umtrace.query.selection import Selection
from umtrace.recording import Recording


def test_duckdb_finds_the_same_buckets_counts_and_sums(tmp_path):
    path = tmp_path / "r.umt"
    scale.make(path, 3000)
    summary = Selection(Recording.open(path)).summary(by=("mode",))
    found = duckdb_report.durations(path)
    assert len(found) == sum(len(group.metrics) for group in summary.groups)
    for group in summary.groups:
        for name, metric in group.metrics.items():
            ours = metric.histogram.to_dict()
            theirs = found[group.key[0], name]
            assert {key: ours[key] for key in theirs} == theirs
