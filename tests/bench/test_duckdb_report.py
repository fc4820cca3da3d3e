"""DuckDB as the second implementation of the figures of a report."""

from __future__ import annotations

from bench import duckdb_report, scale
from umtrace.query.selection import Selection
from umtrace.recording import Recording


def test_duckdb_finds_the_same_buckets_counts_and_sums(tmp_path):
    path = tmp_path / "r.umt"
    scale.make(path, 3000)
    groups = Selection(Recording.open(path)).summary(by=("mode",)).groups
    same(duckdb_report.durations(path), {g.key[0]: g.metrics for g in groups})
    failed = {g.key[0]: g.failed_metrics for g in groups}
    same(duckdb_report.durations(path, failed=True), failed)


def same(found, groups):
    ours = {
        (mode, name): metric.histogram.to_dict()
        for mode, metrics in groups.items()
        for name, metric in metrics.items()
        if metric.histogram.count
    }
    assert len(found) == len(ours) > 0
    for key, theirs in found.items():
        assert {name: ours[key][name] for name in theirs} == theirs
