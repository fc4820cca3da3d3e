from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.stats.rows import T0_NS
from umtrace.analysis.ebusy import LEAST, ebusy_frame
from umtrace.analysis.frames import rows_to_frame
from umtrace.analysis.windows import plot_ebusy


def _windows(n):
    walkers = [{"tid": 7, "comm": "find", "what": "walk", "count": 1}]
    return pd.DataFrame(
        {
            "class": pd.Categorical(
                [("transient-ref", "held", "lazy-tail")[i % 3] for i in range(n)]
            ),
            "begin": pd.to_datetime(T0_NS + 10_000_000 * np.arange(n), utc=True),
            "duration_ns": pd.array([None if i == 1 else 5_000_000 for i in range(n)], "Int64"),
            "path": [f"/mnt/{i % 5}" for i in range(n)],
            "walkers": [json.dumps(walkers if i == 0 else []) for i in range(n)],
        }
    )


def test_few_windows_are_bars_by_path_with_their_walkers():
    axes = plot_ebusy(_windows(6))
    axes.figure.canvas.draw()
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"/mnt/{i}" for i in range(5)]
    assert [text.get_text() for text in axes.texts] == [" find"]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["held: 2", "lazy-tail: 2", "transient-ref: 2"]
    assert len(axes.patches) == 6


def test_many_windows_are_counted():
    axes = plot_ebusy(_windows(5000))
    assert len(axes.patches) == 3
    tops = axes.patches[-1].get_data()
    assert tops[0].sum() == 5000


def test_no_window_is_a_sentence():
    axes = plot_ebusy(rows_to_frame(LEAST.empty_table()))
    assert axes.texts[0].get_text() == "No EBUSY window was recorded."


def test_a_recording_without_windows_has_an_empty_frame(select):
    frame = ebusy_frame(select([]).recording)
    assert frame.empty
    assert {"class", "begin", "duration_ns", "path", "evidence"} <= set(frame.columns)
    assert frame.dtypes["begin"] == pd.DatetimeTZDtype("ns", "UTC")


@pytest.mark.parametrize("n", [1, 300, 301])
def test_draws_at_every_size(n):
    plot_ebusy(_windows(n)).figure.canvas.draw()
