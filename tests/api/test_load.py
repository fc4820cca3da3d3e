from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest

import umtrace
from tests.stats.rows import T0_NS, container_host
from umtrace.model.errors import DamagedInputError, UsageError
from umtrace.model.umounts import SCHEMA
from umtrace.model.windows import EbusyWindow, windows_to_arrow


@pytest.fixture
def rec(path):
    return umtrace.load(path)


def test_umounts_are_the_rows_with_their_types(rec):
    assert list(rec.umounts.columns) == SCHEMA.names
    assert rec.umounts.dtypes["t_start"] == pd.DatetimeTZDtype("ns", "UTC")
    assert rec.umounts.dtypes["rcu_ns"] == pd.Int64Dtype()
    assert rec.umounts["id"].tolist() == list(range(200))
    assert rec.umounts is rec.umounts


def test_reads_some_columns_and_some_of_the_time(rec):
    half = pd.Timestamp(T0_NS, unit="ns") + pd.Timedelta("5s")
    frame = rec.read_umounts(["latency_ns", "id"], span=(half, None))
    assert list(frame.columns) == ["latency_ns", "id"]
    assert len(frame) == 100
    same = rec.read_umounts(["id"], span=(half.tz_localize("UTC").isoformat(), None))
    assert same["id"].tolist() == frame["id"].tolist()
    assert len(rec.read_umounts(span=(None, T0_NS))) == 0


def test_a_time_that_is_none_is_told_in_one_line(rec):
    for wrong in ("noon-ish", object()):
        with pytest.raises(UsageError, match=r"no time .*2026-01-01 12:00"):
            rec.read_umounts(["id"], span=(wrong, None))


@pytest.mark.parametrize("wrong", ["2026-01-01", (1, 2, 3), 5, None])
def test_a_span_that_is_no_pair_is_told_in_one_line(rec, wrong):
    with pytest.raises(UsageError, match=r"no span .*; give a pair"):
        rec.read_umounts(["id"], span=wrong)


def test_one_column_is_named_by_a_text(rec):
    assert list(rec.read_umounts("path").columns) == ["path"]
    assert list(rec.read_ebusy_windows("class").columns) == ["class"]
    assert list(rec.read_events("time").columns) == ["time"]


def test_filters_are_those_of_the_command_line(rec):
    assert set(rec.read_umounts(mode="lazy")["mode"]) == {"lazy"}
    busy = rec.read_umounts(["latency_ns"], errno=(16,), min_latency_ns=1)
    assert list(busy.columns) == ["latency_ns"]
    assert 0 < len(busy) < 30
    with pytest.raises(UsageError, match="unknown filter: colour"):
        rec.read_umounts(colour="red")
    with pytest.raises(UsageError, match="no column"):
        rec.read_umounts(["nope"])
    same = rec.read_umounts(["latency_ns"], errno="EBUSY", min_latency="1ns")
    assert same["latency_ns"].tolist() == busy["latency_ns"].tolist()
    with pytest.raises(UsageError, match="no mode 'fast'; there are: sync, lazy"):
        rec.read_umounts(mode="fast")
    with pytest.raises(UsageError, match="no errno"):
        rec.read_umounts(errno="EBUZY")


def test_events_have_wall_clock_times_and_names(rec):
    assert rec.events["time"][0] == pd.Timestamp(T0_NS + 500, unit="ns", tz="UTC")
    assert list(rec.events["kind"][:2]) == ["enter", "exit"]
    assert rec.events["comm"][0] == "umount"
    later = rec.read_events(["ts_ns"], span=(T0_NS + 5000, None))
    assert later["ts_ns"].tolist() == [1_000_009_000, 1_000_010_000]
    assert list(rec.read_events(["kind"]).columns) == ["kind"]
    asked = rec.read_events(["kind", "time"])
    assert list(asked.columns) == ["kind", "time"]
    assert asked["time"].tolist() == rec.events["time"].tolist()


def test_no_ebusy_windows_is_an_empty_frame(rec):
    assert rec.ebusy_windows.empty
    assert {"class", "begin", "duration_ns"} <= set(rec.ebusy_windows.columns)


def test_reads_the_ebusy_windows_of_some_umounts(write):
    rows = [row | {"id": n} for n, row in enumerate(container_host(20))]
    windows = windows_to_arrow(
        [
            EbusyWindow(klass="held", spurious=False, begin_ns=T0_NS, end_ns=None, umount_id=n)
            for n in range(20)
        ]
    )
    rec = umtrace.load(write(rows, windows=windows))
    lazy = [n for n, row in enumerate(rows) if row["mode"] == "lazy"]
    frame = rec.read_ebusy_windows(["umount_id", "class"], mode="lazy")
    assert frame["umount_id"].tolist() == lazy
    assert list(frame.columns) == ["umount_id", "class"]
    assert len(rec.read_ebusy_windows(span=(rows[15]["t_start"], None))) == 5


def test_histogram_and_summary(rec):
    found = rec.histogram("rcu_ns", by="mode")
    assert list(found) == ["sync", "lazy"]
    frame = rec.summary()
    assert frame["umounts"].to_dict() == {"sync": 138, "lazy": 62}
    assert frame.loc["sync", "rcu_p50_ns"] == found.quantile(0.5).loc["sync", "p50"]
    assert rec.summary(by=None, mode="lazy")["umounts"].tolist() == [62]
    with pytest.raises(UsageError, match="no duration 'path'"):
        rec.histogram("path")


def test_explains_itself(rec):
    schema = rec.schema.loc["umounts"]
    assert schema.loc["rcu_ns", "unit"] == "ns"
    assert schema.loc["t_start", "unit"] == "UTC"
    assert all(rec.schema["meaning"])
    assert rec.schema.index[0] == ("umounts", "id")
    for column in SCHEMA.names:
        assert f"``{column}``" in type(rec).umounts.__doc__
    assert "``evidence``: JSON list of sentences" in type(rec).ebusy_windows.__doc__
    assert "heatmap" in repr(rec.plot)
    html = rec._repr_html_()
    assert "losses: none" in html
    assert "<table" in html
    assert "rec.umt" in repr(rec)


@pytest.mark.parametrize(
    "kind", ["hist", "cdf", "phases", "modes", "heatmap", "timeline", "mounts", "ebusy", "whatif"]
)
def test_every_plot_is_a_method(rec, kind):
    axes = getattr(rec.plot, kind)(span=(T0_NS, T0_NS + 1_000_000_000))
    assert axes.figure is not None


def test_a_notebook_shows_the_axes(rec):
    assert rec.plot.phases(by="mode", mode="lazy")._repr_png_().startswith(b"\x89PNG")


def test_a_wrong_path_is_told_at_once(tmp_path):
    with pytest.raises(UsageError):
        umtrace.load(tmp_path / "nope")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DamagedInputError):
        umtrace.load(tmp_path / "empty")


def test_damage_is_a_problem_not_an_error(path):
    (chunk,) = path.glob("umounts-*.parquet")
    chunk.write_bytes(chunk.read_bytes()[:100])
    rec = umtrace.load(path)
    assert rec.umounts.empty
    assert any(chunk.name in problem for problem in rec.problems)
    assert "DAMAGED" in rec._repr_html_()


def test_opening_reads_no_table(path, monkeypatch):
    monkeypatch.setattr("umtrace.recording.reader.open_chunks", None)
    rec = umtrace.load(path)
    assert rec.meta.tier == "fentry"
    assert rec.losses.ring_events == 0


def test_a_recording_of_thousands_of_files_opens_without_a_look_at_them(path, monkeypatch):
    (chunk,) = path.glob("umounts-*.parquet")
    for number in range(2, 3000):
        os.link(chunk, path / f"umounts-{number:05}.parquet")
    opened = []
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", lambda *given, **named: opened.append(given))
    rec = umtrace.load(path)
    assert (rec.meta.tier, rec.losses.ring_events) == ("fentry", 0)
    assert len(rec.schema) > 80
    assert not opened


@pytest.mark.parametrize("module", ["pandas", "matplotlib", "pyarrow", "numpy", "bcc"])
def test_importing_umtrace_imports_nothing_heavy(module):
    code = (
        f"import sys, umtrace; assert '{module}' not in sys.modules; dir(umtrace); umtrace.__all__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_opening_imports_what_it_needs_and_no_more(path):
    code = (
        "import sys, umtrace; rec = umtrace.load(sys.argv[1]); rec.meta, rec.losses\n"
        "heavy = {'pandas', 'matplotlib', 'jinja2', 'rich', 'bcc'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "rec.umounts; assert 'matplotlib' not in sys.modules\n"
        "rec.plot.cdf()"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)


def test_there_is_nothing_else():
    assert {"load", "record", "compare"} <= set(dir(umtrace))
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = umtrace.nope


def test_compare(path, write):
    slower = [row | {"rcu_ns": row["rcu_ns"] * 4} for row in container_host(900)]
    same, other = write(container_host(900), "a.umt"), write(slower, "b.umt", kernel="6.13.1")
    found = umtrace.compare(same, umtrace.load(other))
    assert set(found.different["verdict"]) == {"slower"}
    assert repr(found).endswith("ratios differ; 1 warnings>")
    assert found.warnings == ["different kernels: A 6.12.9-amd64, B 6.13.1"]
    assert "warning: different kernels" in found._repr_html_()
    frame = found.to_frame()
    assert frame.loc[("sync", "rcu_ns", 0.5), "ratio"] == pytest.approx(4, rel=0.02)
    assert umtrace.compare(same, same, by=None, mode="lazy").different.empty
