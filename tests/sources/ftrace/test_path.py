"""The path of an umount, which a probe of its own fetches."""

from __future__ import annotations

import pytest

from tests.sources.ftrace.builders import Task, record, rows, translator, umount
from umtrace.sources.ftrace.events import events
from umtrace.sources.ftrace.records import LOST


def halves(*names, path=b"/mnt/a", ts=1000):
    fields = {"um_enter": {"flags": 0, "comm": b"umount"}, "um_name": {"path": path}}
    return Task(ts=ts).add(*((name, fields[name]) for name in names)).records


@pytest.mark.parametrize("names", [("um_enter", "um_name"), ("um_name", "um_enter")])
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_the_path_comes_before_or_after_the_entry(names, cut):
    records = [*halves(*names), *umount(ts=1020)[1:]]
    one = translator(shift=0x20)
    (row,) = rows(one.feed(records[:cut]), one.feed(records[cut:]))
    assert (row["complete"], row["path"]) == (True, "/mnt/a")


@pytest.mark.parametrize("names", [("um_enter", "um_name"), ("um_name", "um_enter")])
def test_an_umount_whose_path_was_dropped_has_a_row_without_one(names):
    first = [*halves("um_enter"), record(1010, "um_exit", ret=-36)]
    second = [*halves(*names, ts=2000), record(2020, "um_exit", ret=-2)]
    found = rows(translator(shift=0x20).feed([*first, *second]))
    assert [(row["errno"], row["path"]) for row in found] == [(36, None), (2, "/mnt/a")]
    assert all(row["complete"] for row in found)


@pytest.mark.parametrize("names", [("um_enter", "um_name"), ("um_name", "um_enter")])
def test_a_path_whose_entry_was_lost_goes_to_no_other_umount(names):
    first = [*halves("um_name", path=b"/lost"), record(1010, "um_exit", ret=-2)]
    second = [*halves(*names, ts=2000), record(2020, "um_exit", ret=-2)]
    found = rows(translator(shift=0x20).feed([*first, *second]))
    assert [row["path"] for row in found] == [None, "/mnt/a"]


def test_a_gap_parts_the_path_from_the_entry():
    lost = record(1005, LOST, tid=0)
    records = [*halves("um_name", path=b"/lost"), lost, *halves("um_enter", ts=2000)]
    (row,) = rows(translator(shift=0x20).feed([*records, record(2020, "um_exit", ret=-2)]))
    assert row["path"] is None


def test_what_a_row_begins_with_is_fetched_without_text_of_any_length():
    wanted = events({}, walkers=False)
    entries = [event for event in wanted if event.name in {"um_enter", "um_enter32"}]
    assert entries
    assert not any(":ustring" in arg for event in entries for arg in event.args)
