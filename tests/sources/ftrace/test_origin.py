"""Whose mounts were taken down outside an umount."""

from __future__ import annotations

import pytest

from tests.sources.ftrace.builders import UNNAMED, Task, callers, rows


@pytest.mark.parametrize(
    ("of", "origin"),
    [
        ({}, "ns-exit"),
        ({"inum": 0}, "mount-internal"),
        ({"inum": 0xEFFFFFF7}, "mount-internal"),
        ({"ns": 0}, "mount-internal"),  # a copy for audit, in no namespace
        ({"ns": 0xFFFFFFFFFFFFFFEA}, None),
        ({"caller": UNNAMED}, None),
    ],
)
def test_the_namespace_tells_whose_it_was(of, origin):
    task = Task().namespace_ends(**of).cleans(0x500)
    (row,) = rows(callers().feed(task.records))
    assert (row["origin"], row["complete"]) == (origin, True)


def test_without_its_namespace_whose_it_was_is_unknown():
    task = Task().namespace_ends().cleans(0x500)
    for r in task.records:
        r.fields.pop("ns", None)
    (row,) = rows(callers().feed(task.records))
    assert (row["origin"], row["complete"]) == (None, True)
