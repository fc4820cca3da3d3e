"""Every bench runs, at a tiny size; nothing here looks at a time."""

from __future__ import annotations

import pytest

from bench import __main__ as bench
from bench import correlate, drain, startup


@pytest.mark.parametrize("tier", ["tracepoint", "fentry"])
def test_all_ways_to_correlate_find_the_same_number_of_umounts(tier):
    found = {way: correlate.measure(way, tier, 5000) for way in correlate.WAYS}
    assert len({result["rows"] for result in found.values()}) == 1
    assert found["umtrace"]["rows"] > 0


@pytest.mark.kernel
@pytest.mark.parametrize("way", drain.WAYS)
def test_a_reader_handles_what_was_sent(way):
    result = drain.measure(way, 0.3)
    assert 0 < result["handled"] <= result["sent"]


@pytest.mark.kernel
def test_a_recorder_starts_and_its_memory_is_read():
    result = startup.record(1)
    assert result["rss_mib"] > result["anonymous_mib"] > 0


def test_the_page_has_a_table_for_every_result():
    host = {"cpus": 2, "cpu": "x", "kernel": "6", "python": "3", "day": "d", "load": 0.0}
    row = correlate.measure("umtrace", "fentry", 5000)
    results = {"host": host, "drain": [], "correlate": [row], "startup": [startup.help_text(1)]}
    text = bench.page(results)
    assert "| fentry | umtrace |" in text
    assert "umtrace --help" in text
