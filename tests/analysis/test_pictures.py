"""Every kind of picture against a small stored image: what a person would see is the same.

UMTRACE_UPDATE_BASELINES=1 writes the images instead; look at them before committing.
The comparison is of thumbnails in grey with a tolerance, so that another version of
FreeType or of the rasteriser is no failure, and a lost series or legend is one.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.stats.rows import T0_NS, container_host
from umtrace.analysis.figures import KINDS, figure_of, save
from umtrace.analysis.svg import svg_of
from umtrace.model.windows import CLASSES, EbusyWindow

BASELINES = Path(__file__).parent / "baselines"
_DPI = 40
_CELL = 8
_TOLERANCE = 6.0  # of 255, mean over the image
_WORST_CELL = 45.0


def _rows(n):
    rows = container_host(n)
    for number, row in enumerate(rows):
        row["n_mounts"] = 1 << number % 6
        row["t_start"] = T0_NS + number * 700_000
    return rows


def _image(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    return Image.open(out).convert("L")


def _thumbnail(image):
    return np.asarray(image.reduce(_CELL), np.float64)


def _windows(n):
    rng = np.random.default_rng(n)
    chosen = np.minimum(rng.exponential(2, n).astype(int), len(CLASSES) - 1)
    began = T0_NS + np.sort(rng.integers(0, 200_000_000, n))
    return [
        EbusyWindow(
            klass=CLASSES[klass], spurious=None, begin_ns=at, end_ns=at + lasted, path=f"/mnt/{i}"
        )
        for i, (klass, at, lasted) in enumerate(
            zip(
                chosen.tolist(), began.tolist(), rng.integers(1, 2 * 10**7, n).tolist(), strict=True
            )
        )
    ]


_FEW = [(kind, 300) for kind in KINDS if kind != "ebusy"] + [("ebusy", 15)]
_MANY = [("timeline", 4000), ("mounts", 4000), ("ebusy", 60), ("ebusy", 4000)]  # drawn otherwise


@pytest.mark.parametrize(("kind", "n"), _FEW + _MANY)
def test_looks_as_it_did(kind, n, select):
    chosen = select([], windows=_windows(n)) if kind == "ebusy" else select(_rows(n))
    found = _image(figure_of(kind, chosen, source="rec.umt"))
    path = BASELINES / f"{kind}-{n}.png"
    if os.environ.get("UMTRACE_UPDATE_BASELINES"):
        found.save(path, optimize=True)
    expected = Image.open(path)
    assert found.size == expected.size
    difference = np.abs(_thumbnail(found) - _thumbnail(expected))
    assert difference.mean() <= _TOLERANCE
    assert difference.max() <= _WORST_CELL


def test_the_comparison_notices_a_lost_series(select):
    rows = _rows(300)
    both = _thumbnail(_image(figure_of("cdf", select(rows))))
    one = [row | {"mode": "sync"} for row in rows]
    less = _thumbnail(_image(figure_of("cdf", select(one))))
    assert np.abs(both - less).max() > _WORST_CELL


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_letter_that_the_font_lacks_is_no_warning(select, tmp_path, suffix):
    rows = [row | {"comm": "日本語"} for row in _rows(30)]
    figure = figure_of("cdf", select(rows), by=("comm",))
    save(figure, tmp_path / f"x.{suffix}")
    assert (tmp_path / f"x.{suffix}").stat().st_size
    assert "日本語" in svg_of(figure, "x")
