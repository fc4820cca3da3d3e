"""Where a mount was attached, from the components that the probes send."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.state_machine import as_path
from tests.builders import Stream
from umtrace.correlate.mountpoints import reverse_components
from umtrace.correlate.texts import of_list
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import Kind, NameKind, Origin


def turned_alone(texts, unknown=None):
    spelled = of_list(texts)
    if unknown is None:
        unknown = [False] * len(texts)
    return [
        path or None for path in reverse_components(spelled, np.array(unknown, np.bool_)).to_list()
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"d\0c\0\0", b"/c/d"),
        (b"a\0\0", b"/a"),
        (b"\0", b"/"),
        (b"new\nline\0\0", b"/new\nline"),
        (b"d\0c\0", None),
        (b"", None),
        (None, None),
    ],
)
def test_components_come_from_the_last_to_the_first(text, path):
    assert turned_alone([text]) == [path]
    assert turned_alone([text, b"x\0y\0\0", text]) == [path, b"/y/x", path]
    assert turned_alone([text], [True]) == [None]


@example([b"", b"\0"])  # all text there is is one byte, and not of the first
@given(st.lists(st.lists(st.sampled_from([b"\0", b"a", b"bc", b"\xc3\xa9"])).map(b"".join)))
def test_as_one_at_a_time(texts):
    assert turned_alone(texts) == [as_path(text) for text in texts]


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
