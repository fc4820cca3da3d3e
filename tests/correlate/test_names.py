"""Names that come in one part, found by array code or, where they have a twin, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from umtrace.correlate.names import NameStore
from umtrace.model.events import NAME_DTYPE, NameKind


def records(tids, times, texts, kind=NameKind.PATH):
    names = np.zeros(len(tids), NAME_DTYPE)
    names["tid"], names["ts_ns"], names["kind"] = tids, times, kind
    names["text"], names["len"] = texts, [len(text) for text in texts]
    return names


def asked(store, tids, times, kind=NameKind.PATH):
    return store.take(kind, np.array(tids, np.uint32), np.array(times, np.uint64)).to_list()


@pytest.mark.parametrize("later", [False, True])
def test_ten_thousand_at_once_and_each_only_once(later):
    rng = np.random.default_rng(1)
    tids, times = rng.integers(1, 2**32, 10_000), rng.integers(1, 2**63, 10_000)
    texts = [b"/mnt/%d" % i for i in range(10_000)]
    store = NameStore()
    store.add(records(tids, times, texts))
    if later:
        store.add(records([], [], []))  # they are kept in another way from then on
    order = rng.permutation(10_000)
    half = order[:5000]
    assert asked(store, tids[half], times[half]) == [texts[i] for i in half]
    again = asked(store, tids[order], times[order])
    assert again == [b""] * 5000 + [texts[i] for i in order[5000:]]


def test_names_of_other_kinds_tasks_and_times_are_not_mixed_up():
    store = NameStore()
    store.add(records([1, 1, 2], [5, 6, 5], [b"a", b"b", b"c"]))
    assert asked(store, [1, 2, 1], [5, 5, 6], NameKind.SOURCE) == [b""] * 3
    assert asked(store, [3, 1, 2, 1, 1], [5, 7, 5, 0, 6]) == [b"", b"", b"c", b"", b"b"]


def test_a_thousand_twins_are_one():
    store = NameStore()
    store.add(records([1] * 1000, [5] * 1000, [b"%d" % i for i in range(1000)]))
    assert asked(store, [1, 1], [5, 6])[0] != b""
    store.add(records([2], [5], [b"x"]))
    assert asked(store, [2], [5]) == [b"x"]


def test_a_length_beyond_the_record_is_cut():
    names = records([1, 2], [5, 5], [b"x" * 232, b"y"])
    names["len"] = 2**32 - 1
    store = NameStore()
    store.add(names)
    assert asked(store, [1, 2], [5, 5]) == [b"x" * 232, b"y" + b"\0" * 231]
