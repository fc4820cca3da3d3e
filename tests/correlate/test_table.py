"""The table of operations: columns that nobody has filled."""

from __future__ import annotations

import numpy as np
import pytest

from umtrace.correlate.table import Ops


def table(**columns):
    ops = Ops(len(next(iter(columns.values()))))
    for name, values in columns.items():
        ops[name] = np.array(values)
    return ops


def test_what_nobody_set_reads_as_zeros_and_cannot_be_written_to():
    ops = table(tid=[3, 4])
    assert "mnt" not in ops
    assert ops["mnt"].tolist() == [0, 0]
    with pytest.raises(ValueError, match="read-only"):
        ops["mnt"][0] = 1
    ops.put("mnt", np.array([1, 1]), np.array([7, 8]))
    assert ops["mnt"].tolist() == [0, 8]


def test_parts_are_joined_whatever_columns_they_have():
    both = Ops.joined([table(tid=[3, 4]), Ops(), table(mnt=[7], tid=[1])])
    assert (both["tid"].tolist(), both["mnt"].tolist()) == ([3, 4, 1], [0, 0, 7])
    assert both.ordered("tid")["mnt"].tolist() == [7, 0, 0]
    assert both["tid"].dtype == np.uint32


def test_a_part_is_a_view_and_a_choice_is_a_copy():
    ops = table(tid=[3, 4, 5])
    ops.part(1, 3).put("tid", 0, 9)
    ops.take(np.array([True, False, True])).put("tid", 0, 1)
    assert ops["tid"].tolist() == [3, 9, 5]
