"""Where a mount was attached, from the components that the probes send."""

from __future__ import annotations

import pytest

from tests.builders import Stream
from umtrace.correlate.names import as_mountpoint
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.records.events import Kind, NameKind, Origin


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("d\0c\0\0", "/c/d"),
        ("a\0\0", "/a"),
        ("\0", "/"),
        ("new\nline\0\0", "/new\nline"),
        ("d\0c\0", None),
        ("", None),
        (None, None),
    ],
)
def test_components_come_from_the_last_to_the_first(text, path):
    found = as_mountpoint(None if text is None else text.encode())
    assert (found and found.decode()) == path


def mountpoint_of(parts, origin=Origin.DETACH):
    stream = Stream()
    stream.event(100, 7, Kind.TEARDOWN, ret=origin, seq=100)
    for index, (text, more) in enumerate(parts):
        stream.names.append((101, 7, NameKind.MOUNTPOINT, index, len(text), more, text))
    stream.event(101, 7, Kind.MOUNT, seq=101)
    stream.event(200, 7, Kind.DEAD, seq=102)
    correlator = UmountCorrelator(clock_offset_ns=0, tier="fentry")
    rows = correlator.feed(stream.batch()).to_pylist() + correlator.finish().to_pylist()
    return [row["mountpoint"] for row in rows]


def test_parts_are_joined():
    assert mountpoint_of([(b"d\0c\0", 1), (b"b\0\0", 0)]) == ["/b/c/d"]


def test_a_walk_that_did_not_reach_the_root_is_unknown():
    assert mountpoint_of([(b"d\0c\0", 1)]) == [None]


def test_what_goes_with_its_descriptor_was_attached_nowhere():
    assert mountpoint_of([(b"\0", 0)], Origin.FD_CLOSE) == [None]
