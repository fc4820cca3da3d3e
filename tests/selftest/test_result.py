from __future__ import annotations

from collections import Counter

from umtrace.selftest.result import unlike


def test_equal_ones_differ_in_nothing():
    assert unlike(Counter({("/a", 0): 2}), Counter({("/a", 0): 2})) == "none"


def test_what_one_lacks_is_counted_and_its_first_is_named():
    expected = Counter({("/a", "sync", 0): 1, ("/b", "sync", 16): 2})
    seen = Counter({("/a", "sync", 16): 1})
    assert unlike(expected, seen) == "3 not seen, ('/a', 'sync', 0); 1 too many, ('/a', 'sync', 16)"
