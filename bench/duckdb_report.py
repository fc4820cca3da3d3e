"""The figures of a report's groups as one DuckDB query, and what each way costs in turn.

    .venv/bin/python -m bench.scale --rows 10000000 --keep DIR --readings open
    .venv/bin/python -m bench.duckdb_report DIR

DuckDB finds the buckets, counts, sums, extremes and outcomes; it shows nothing, and has neither
windows by class nor walkers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.scale import READINGS, measure
from umtrace.stats.summarize import DEFAULT_METRICS

# `stats.buckets.bucket_of`; log2 is exact enough below 2**53
_BUCKET = (
    "case when {0} < 128 then {0} else (floor(log2({0}))::bigint - 6) * 128 "
    "+ ({0} >> (floor(log2({0}))::bigint - 7)) - 128 end"
)
# Eight scans cost less than one that is unpivoted: 3.4 against 5.7 s of CPU at ten million rows.
_DURATION = (
    "select mode, '{0}', {1} as bucket, count(*), sum({0}), min({0}), max({0}) "
    "from '{2}/umounts-*.parquet' "
    "where origin is distinct from 'mount-internal' and {0} is not null and {3} group by all"
)
_OUTCOMES = (
    "select mode, errno, complete, latency_bound, count(*), sum(n_discounted), sum(n_legitimized) "
    "from '{0}/umounts-*.parquet' where origin is distinct from 'mount-internal' group by all"
)

#: failed umounts are kept apart; null is not known to have failed
_POPULATIONS = {False: "coalesce(errno, 0) = 0", True: "errno <> 0"}

Key = tuple[str | None, str]


def durations(path: Path, *, failed: bool | None = None) -> dict[Key, dict[str, Any]]:
    """Return by (mode, duration) what a report has: buckets with counts, sum, min, max.

    Of the umounts that failed, or of the others; None asks for both, and returns the others.
    """
    import duckdb

    connection = duckdb.connect(config={"threads": 2})
    found: dict[Key, list[tuple[int, ...]]] = {}
    for which in (True, False) if failed is None else (failed,):
        query = " union all ".join(
            _DURATION.format(name, _BUCKET.format(name), path, _POPULATIONS[which])
            for name in DEFAULT_METRICS
        )
        found = defaultdict(list)
        for mode, name, *numbers in connection.execute(query).fetchall():
            found[mode, name].append(tuple(map(int, numbers)))
    connection.execute(_OUTCOMES.format(path)).fetchall()
    return {key: _together(sorted(rows)) for key, rows in found.items()}


def _together(rows: list[tuple[int, ...]]) -> dict[str, Any]:
    buckets, counts, sums, least, most = zip(*rows, strict=True)
    return {
        "buckets": list(buckets),
        "counts": list(counts),
        "sum": sum(sums),
        "min": min(least),
        "max": max(most),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    query = "import sys; from bench.duckdb_report import durations; durations(sys.argv[1])"
    for _ in range(given.pairs):
        for name, code in (("umtrace report", READINGS["umtrace report"]), ("DuckDB", query)):
            seconds, cpu_s, peak_kib = measure(code, given.recording)
            print(f"{name:<16}{seconds:8.2f} s {cpu_s:8.2f} CPU s {peak_kib / 1024:8.0f} MiB")


if __name__ == "__main__":
    main()
