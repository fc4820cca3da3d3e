from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.memory import peak_kib, reset_peak
from tests.ebusy import storm
from tests.ebusy.streams import MS, busy, fd_of, one, scan, umount, windows_of
from tests.stats.rows import T0_NS, batch_of
from umtrace.ebusy.detector import EbusyDetector
from umtrace.model.arrow import fixed, text
from umtrace.model.umounts import SCHEMA
from umtrace.model.windows import windows_to_arrow


def test_mounts_are_told_apart():
    rows = [busy(0), busy(0.1, path="/b"), busy(0.2, mntns=8), umount(1, path="/b"), umount(2)]
    found = windows_of(rows)
    said = [(w.path, w.mntns, w.klass) for w in found]
    assert said == [
        ("/b", 7, "transient-ref"),
        ("/mnt", 7, "transient-ref"),
        ("/mnt", 8, "unknown"),
    ]


def test_one_path_said_in_two_ways_is_one_mount():
    assert one([busy(0, path="/mnt/a/"), umount(1, path="/mnt//a")]).klass == "transient-ref"


def test_relative_paths_of_two_tasks_are_two_mounts():
    rows = [busy(0, path="a", pid=1), umount(1, path="a", pid=2)]
    assert one(rows).klass == "unknown"


def test_mount_ids_beat_paths():
    rows = [busy(0, mount_id=1), umount(1, mount_id=2), umount(2, mount_id=1, path="/moved")]
    window = one(rows)
    assert (window.klass, window.duration_ns) == ("transient-ref", 2 * MS)


def test_rows_without_a_path_or_an_outcome():
    rows = [busy(0, path=None), umount(1, path=None), umount(2, errno=None), busy(3, t_start=None)]
    assert one(rows).klass == "unknown"  # the success may be another mount's


def test_an_ebusy_long_after_is_another_window():
    found = windows_of([busy(0), umount(1, path="/x"), busy(31000), umount(31001)])
    assert [(w.klass, w.attempts) for w in found] == [("unknown", 1), ("transient-ref", 2)]


def test_windows_wait_for_their_looks_in_order():
    detector = EbusyDetector()
    first, other = busy(0), busy(1, path="/b")
    rows = [first, other, umount(300), umount(301, path="/b")]
    assert detector.feed(batch_of(rows), pending={first["id"]}) == []
    assert [w.klass for w in detector.preview()] == []
    found = detector.add_scans([scan(first, 40, fd_of())])
    assert [(w.path, w.klass) for w in found] == [("/mnt", "held"), ("/b", "unknown")]


def test_a_look_that_never_comes_does_not_hold_the_end():
    detector = EbusyDetector()
    first = busy(0)
    detector.feed(batch_of([first]), pending={first["id"]})
    assert [w.klass for w in detector.finish()] == ["unknown"]


def test_the_preview_says_what_is_known_so_far():
    detector = EbusyDetector()
    first = busy(0)
    detector.feed(batch_of([first]), pending={first["id"]})
    detector.add_scans([scan(first, 40, fd_of())])
    assert [w.klass for w in detector.preview()] == ["held"]


def test_too_many_mounts_at_once_are_closed_early():
    found = windows_of([busy(n, path=f"/{n}") for n in range(20)], max_open=5)
    assert len(found) == 20
    assert sum("closed early" in " ".join(w.evidence) for w in found) == 15


calls = st.tuples(
    st.sampled_from(["/a", "/b", "/c"]),
    st.sampled_from([0, 0, 16, 16, 16, 22, 1]),
    st.sampled_from([0, 0, 2, 4]),
    st.sampled_from([0.1, 3, 40, 31000]),
    st.sampled_from([None, "held", "empty"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(calls, max_size=30), st.lists(st.integers(0, 30), max_size=8))
def test_any_split_gives_the_same_windows(steps, cuts):
    rows, scans, now = [], [], 0.0
    for path, errno, flags, gap, look in steps:
        now += gap
        mode = "lazy" if flags & 2 else "sync"
        rows.append(umount(now, errno, path=path, flags=flags, mode=mode))
        if look and errno == 16:
            scans.append(scan(rows[-1], now + 2, *([fd_of()] if look == "held" else [])))
    cuts = [min(cut, len(rows)) for cut in cuts]
    whole = windows_of(rows, scans=scans)
    parts = windows_of(rows, scans=scans, cuts=cuts)

    def ordered(found):
        return sorted(found, key=lambda w: w.umount_id)

    assert ordered(parts) == ordered(whole)
    for window in whole:
        assert window.spurious is not True or not window.holders
        assert window.spurious is not False or window.holders or window.klass == "expire"
        assert (window.duration_ns or 0) >= 0
    assert windows_to_arrow(whole).num_rows == len(whole)


def synthetic(first, n, paths=500):
    """Return n rows, 10,000 a second: of each path an EBUSY, then a success 4 ms later, in turn."""
    at = T0_NS + (first + np.arange(n)) * 100_000
    index = first + np.arange(n)
    given = {
        "id": fixed(index, SCHEMA.field("id").type),
        "t_start": fixed(at, SCHEMA.field("t_start").type),
        "latency_ns": fixed(np.full(n, 50_000), SCHEMA.field("latency_ns").type),
        "errno": fixed(np.where(index // 40 % 2, 0, 16), SCHEMA.field("errno").type),
        "flags": fixed(np.zeros(n), SCHEMA.field("flags").type),
        "mntns": fixed(np.full(n, 7), SCHEMA.field("mntns").type),
        "pid": fixed(np.full(n, 9), SCHEMA.field("pid").type),
        "tid": fixed(np.full(n, 9), SCHEMA.field("tid").type),
        "path": text([f"/m/{i % 40 + i // 80 % paths * 40}" for i in index.tolist()]),
        "origin": text(["umount"] * n),
        "mode": text(["sync"] * n),
    }
    import pyarrow as pa

    columns = [given[f.name] if f.name in given else pa.nulls(n, f.type) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def pump(n):
    """Feed n rows in batches of a live tick; return windows, seconds, and memory growth in KiB."""
    detector, windows, spurious = EbusyDetector(), 0, 0
    for batch in (synthetic(0, 500), synthetic(500, 500)):
        windows += len(detector.feed(batch))
    memory = reset_peak()
    begin = time.process_time()
    for first in range(1000, n, 500):
        found = detector.feed(synthetic(first, 500))
        windows += len(found)
        spurious += sum(w.spurious is True for w in found)
        assert detector.n_open <= 40
    seconds = time.process_time() - begin
    windows += len(detector.finish())
    return windows, seconds, peak_kib() - memory


@pytest.mark.slow
def test_a_storm_of_umounts():
    windows, _seconds, grown_kib = pump(100_000)
    assert windows == 50_000
    assert grown_kib < 20_000


@pytest.mark.slow
def test_a_storm_of_events():
    umounts, right, windows, _cpu_seconds, grown_kib = storm.pump(5)
    assert (right, windows) == (24_750, 24_750)
    assert umounts == 49_750
    assert grown_kib < 20_000


def test_the_recorders_path_does_not_import_pandas(tmp_path):
    rows = batch_of([busy(0), umount(1)])
    with pa.OSFile(str(tmp_path / "rows"), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
        stream.write_batch(rows)
    code = (
        "import sys, pyarrow as pa\n"
        "from umtrace.ebusy.detector import EbusyDetector\n"
        "from umtrace.stats.filters import RowFilter\n"
        "rows = pa.ipc.open_stream(pa.OSFile(sys.argv[1])).read_next_batch()\n"
        "given = RowFilter(min_latency_ns=1, comm=('*',)).apply(rows)\n"
        "detector = EbusyDetector()\n"
        "found = detector.feed(given) + detector.feed(rows) + detector.finish()\n"
        "assert found\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "rows")], check=True)
