from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh

from tests.stats.rows import T0_NS, row
from umtrace.analysis.figures import figure_of
from umtrace.analysis.frames import ebusy_frame, rows_to_frame
from umtrace.analysis.windows import _LOOKS, plot_ebusy
from umtrace.model.windows import CLASSES, SCHEMA, EbusyWindow
from umtrace.stats.filters import RowFilter


def _rows(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def _windows(n, paths=5):
    walkers = [{"tid": 7, "comm": "find", "what": "walk", "count": 1}]
    return pd.DataFrame(
        {
            "class": pd.Categorical(
                [("transient-ref", "held", "lazy-tail")[i % 3] for i in range(n)]
            ),
            "begin": pd.to_datetime(T0_NS + 10_000_000 * np.arange(n), utc=True),
            "duration_ns": pd.array([None if i == 1 else 5_000_000 for i in range(n)], "Int64"),
            "path": [f"/mnt/{i % paths}" for i in range(n)],
            "walkers": [json.dumps(walkers if i == 0 else []) for i in range(n)],
        }
    )


def test_few_windows_are_bars_by_path_with_their_walkers():
    axes = plot_ebusy(_windows(6))
    axes.figure.canvas.draw()
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"/mnt/{i}" for i in range(5)]
    assert [text.get_text() for text in axes.texts] == [" find"]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["transient-ref: 2", "held: 2", "lazy-tail: 2"]
    assert len(axes.patches) == 5  # of one the end was not seen: a line


def test_windows_of_many_paths_have_a_row_for_each_class():
    axes = plot_ebusy(_windows(60, paths=21))
    assert _rows(axes) == ["transient-ref\n20", "held\n20", "lazy-tail\n20"]
    assert len(axes.patches) == 59
    assert axes.get_legend() is None


def test_many_windows_are_counted_and_a_rare_class_is_seen():
    windows = _windows(5000)[["class", "begin", "duration_ns"]]
    windows["class"] = ["held", *["unknown"] * 4998, "a new one"]
    axes = plot_ebusy(windows)
    assert _rows(axes) == ["held\n1", "unknown\n4,998", "a new one\n1"]
    (mesh,) = (each for each in axes.collections if isinstance(each, QuadMesh))
    cells = mesh.get_array()
    assert cells.filled(0).sum(axis=1).tolist() == [1, 4998, 1]
    assert axes.get_ylim() == (2.5, -0.5)


def test_a_class_looks_the_same_in_every_picture():
    def colour(windows):
        axes = plot_ebusy(windows)
        keys = zip(axes.get_legend().get_patches(), axes.get_legend().get_texts(), strict=True)
        return {text.get_text().split(":")[0]: key.get_facecolor() for key, text in keys}

    windows = _windows(6)
    alone = colour(windows[windows["class"] == "held"])
    assert alone.items() <= colour(windows).items()
    assert set(_LOOKS) == set(CLASSES)
    assert len(set(_LOOKS.values())) == len(CLASSES)


def test_a_filter_chooses_windows_by_their_umount(select):
    rows = [row(id=n, comm="ab"[n % 2], t_start=T0_NS + n) for n in range(10)]
    windows = [
        EbusyWindow(klass="held", spurious=False, begin_ns=T0_NS + n, end_ns=None, umount_id=n)
        for n in range(10)
    ]
    chosen = select(rows, windows=windows)
    assert len(ebusy_frame(chosen)) == 10
    assert ebusy_frame(replace(chosen, row_filter=RowFilter(comm=("b",))))[
        "umount_id"
    ].tolist() == [
        1,
        3,
        5,
        7,
        9,
    ]
    assert ebusy_frame(chosen.within((T0_NS + 8, None)), ["path", "umount_id"])[
        "umount_id"
    ].tolist() == [8, 9]
    few = ebusy_frame(chosen, ["class", "path"], many=(10, ["class"]))
    many = ebusy_frame(chosen, ["class", "path"], many=(9, ["class"]))
    assert [list(few.columns), list(many.columns)] == [["class", "path"], ["class"]]
    assert figure_of("ebusy", chosen).axes[0].get_title(loc="left") == "EBUSY windows (10)"


def test_no_window_is_a_sentence():
    axes = plot_ebusy(rows_to_frame(SCHEMA.empty_table()))
    assert axes.texts[0].get_text() == "No EBUSY window was recorded."


def test_a_recording_without_windows_has_an_empty_frame(select):
    frame = ebusy_frame(select([]))
    assert frame.empty
    assert {"class", "begin", "duration_ns", "path", "evidence"} <= set(frame.columns)
    assert frame.dtypes["begin"] == pd.DatetimeTZDtype("ns", "UTC")


@pytest.mark.parametrize("n", [1, 300, 301])
def test_draws_at_every_size(n):
    plot_ebusy(_windows(n)).figure.canvas.draw()


def test_a_window_too_brief_for_a_bar_is_a_line_in_its_colour():
    windows = _windows(6).assign(duration_ns=pd.array([3_000] * 6, "Int64"))
    axes = plot_ebusy(windows)
    assert not axes.patches
    assert sum(len(lines.get_segments()) for lines in axes.collections) == 2 * 6
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["transient-ref: 2", "held: 2", "lazy-tail: 2"]


@pytest.mark.parametrize("paths", [1, 2, 5])
def test_few_rows_are_no_walls(paths):
    axes = plot_ebusy(_windows(10, paths))
    low, high = sorted(axes.get_ylim())
    assert max(bar.get_height() for bar in axes.patches) <= 0.2 * (high - low)


def test_brief_windows_fill_the_axis():
    windows = _windows(3).assign(duration_ns=pd.array([3_000] * 3, "Int64"))
    begin = pd.to_datetime(T0_NS + 100_000 * np.arange(3), utc=True)
    axes = plot_ebusy(windows.assign(begin=begin))
    assert axes.get_xlim()[1] <= 0.00022
