from __future__ import annotations

import errno
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.rows import batch_of, row
from umtrace.model.errors import UsageError
from umtrace.stats.filters import RowFilter, parse_duration, parse_errno

ROWS = [
    row(id=0, pid=1, comm="runc", container="3f2abc", errno=0, latency_ns=1_000_000),
    row(id=1, pid=2, comm="runc:[2:INIT]", mode="lazy", errno=16, latency_ns=999_999),
    row(id=2, pid=3, comm="umount", fstype="fuse.sshfs", mntns=77, cgroup_id=2**63, latency_ns=0),
    row(id=3, pid=None, comm=None, mode=None, fstype=None, errno=None, latency_ns=None),
]


def _ids(**given):
    return RowFilter(**given).apply(batch_of(ROWS)).column("id").to_pylist()


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ({}, [0, 1, 2, 3]),
        ({"pid": (1, 3)}, [0, 2]),
        ({"comm": ("runc",)}, [0]),
        ({"comm": ("runc*",)}, [0, 1]),
        ({"comm": ("*",)}, [0, 1, 2]),
        ({"comm": ("RUNC",)}, []),
        ({"comm": ("runc", "um?unt")}, [0, 2]),
        ({"container": ("3f2a*",)}, [0]),
        ({"cgroup": (2**63,)}, [2]),
        ({"mntns": (77,)}, [2]),
        ({"fstype": ("fuse*",)}, [2]),
        ({"mode": ("lazy",)}, [1]),
        ({"mode": ("sync", "lazy")}, [0, 1, 2]),
        ({"min_latency_ns": 1_000_000}, [0]),
        ({"min_latency_ns": 0}, [0, 1, 2]),
        ({"errno": (16,)}, [1]),
        ({"errno": (0,)}, [0, 2]),
        ({"comm": ("runc*",), "errno": (16,)}, [1]),
        ({"comm": ("runc*",), "pid": (3,)}, []),
    ],
)
def test_keeps_the_rows_that_match_every_field_and_never_a_null(given, ids):
    assert _ids(**given) == ids


def test_empty_batches_stay_empty():
    kept = RowFilter(comm=("x",), min_latency_ns=5).apply(batch_of([]))
    assert kept.num_rows == 0
    assert kept.schema == batch_of([]).schema


def test_says_which_columns_it_needs():
    chosen = RowFilter(cgroup=(1,), min_latency_ns=0)
    assert chosen.columns == ["cgroup_id", "latency_ns"]
    assert not chosen.is_empty
    assert RowFilter().is_empty
    assert RowFilter().columns == []


@given(
    st.builds(
        RowFilter,
        pid=st.tuples() | st.tuples(st.integers(0)),
        comm=st.tuples() | st.tuples(st.text(), st.text()),
        errno=st.tuples() | st.tuples(st.sampled_from([0, 16])),
        min_latency_ns=st.none() | st.integers(0),
    )
)
def test_survives_json(row_filter):
    assert RowFilter.from_dict(json.loads(json.dumps(row_filter.to_dict()))) == row_filter


def test_an_unknown_field_is_refused():
    with pytest.raises(UsageError, match="unknown filter: colour"):
        RowFilter.from_dict({"colour": ["red"]})


def test_describes_itself_as_options():
    chosen = RowFilter(comm=("a*", "b"), min_latency_ns=250_000, errno=(16, 0), mode=("lazy",))
    words = "--comm a* --comm b --mode lazy --min-latency 250us --errno EBUSY --errno ok"
    assert chosen.describe() == words
    assert RowFilter().describe() == ""


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1ms", 10**6),
        ("250us", 250_000),
        ("250µs", 250_000),
        ("1.5 s", 1_500_000_000),
        ("7ns", 7),
        ("2", 2 * 10**9),  # seconds, as with -d
        (".5", 5 * 10**8),
        ("1m", 60 * 10**9),
        ("2h", 7200 * 10**9),
    ],
)
def test_durations(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "ms", "-1ms", "1e3ms", "1ms2", "1.ms", "nan s", "nan"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "number"), [("EBUSY", errno.EBUSY), ("ebusy", 16), ("16", 16), ("ok", 0), ("0", 0)]
)
def test_errnos(text, number):
    assert parse_errno(text) == number


@pytest.mark.parametrize("text", ["", "EFOO", "99999", "-16", "errorcode", "1.0", "²"])
def test_what_is_no_errno(text):
    with pytest.raises(UsageError, match="is no errno"):
        parse_errno(text)
