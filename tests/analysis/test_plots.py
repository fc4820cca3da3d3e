from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.stats.rows import T0_NS, batch_of, container_host, row
from umtrace.analysis import style
from umtrace.analysis.figures import KINDS, figure_of, save
from umtrace.analysis.plots import plot_cdf, plot_hist, plot_phases
from umtrace.analysis.style import PHASES, SERIES, log_duration_axis, seconds
from umtrace.analysis.svg import svg_of
from umtrace.model.errors import UsageError
from umtrace.model.umounts import PHASES as PHASE_COLUMNS
from umtrace.model.windows import EbusyWindow
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import summarize


def _summary(rows):
    return summarize([batch_of(rows)])


def _tick_texts(axes):
    axes.figure.canvas.draw()
    return [label.get_text() for label in axes.get_xticklabels()]


@pytest.fixture
def series():
    groups = _summary(container_host()).groups
    return {g.key[0]: g.metric("latency_ns").histogram for g in groups}


def test_hist_bars_add_up_to_the_umounts(series):
    axes = plot_hist(series, what="latency")
    sums = [int(patch.get_data().values.sum()) for patch in axes.patches]
    assert sums == [h.count for h in series.values()] == [125, 62]
    assert axes.get_title(loc="left") == "Latency (187 umounts)"
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("duration", "umounts")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[1] == "lazy: 62, median 653 µs"


def test_time_is_labelled_with_its_unit(series):
    texts = _tick_texts(plot_hist(series, what="latency"))
    assert {"10 µs", "100 µs", "1 ms", "10 ms"} <= set(texts)


def test_series_differ_without_colour(series):
    axes = plot_hist(series, what="latency")
    assert len({patch.get_hatch() for patch in axes.patches}) == 2
    lines = plot_cdf(series, what="latency").get_lines()[:2]
    assert len({line.get_linestyle() for line in lines}) == 2
    assert len({look.line for look in SERIES}) == len(SERIES)


def test_cells_are_darker_for_more_as_without_colour(select):
    axes = figure_of("heatmap", select(container_host(300))).axes
    colours = axes[0].collections[0].cmap(np.linspace(0, 1, 9))[:, :3]
    assert np.all(np.diff(colours @ (0.2126, 0.7152, 0.0722)) < 0)


def test_the_largest_count_is_labelled():
    assert style._counts_up_to(10) == [1, 10]
    assert style._counts_up_to(14) == [1, 10]
    assert style._counts_up_to(15) == [1, 10, 15]
    assert style._counts_up_to(2_345) == [1, 10, 100, 1000, 2345]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/mnt/a", "/mnt/a"),
        ("/tmp/umtrace-exercise-1/busy/14", "…/busy/14"),
        ("/var/lib/containers/0123456789abcdef0123", "…bcdef0123"),
        ("/a/0123456789/", "…23456789/"),
    ],
)
def test_a_path_is_cut_between_names(path, shown):
    assert style.end_of(path, 10) == shown


@pytest.mark.parametrize("kind", ["heatmap", "modes"])
def test_marks_of_time_do_not_touch_on_a_narrow_page(kind, select):
    rows = container_host(300)
    for number, one in enumerate(rows):
        one["t_start"] = T0_NS + number * 7_000_000_000
        one["lock_ns"] = 10 ** (number % 9)
    figure = figure_of(kind, select(rows))
    svg_of(figure, "p")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (low, high), at = axes.get_xlim(), axes.get_xticks()
    shown = [label for x, label in zip(at, axes.get_xticklabels(), strict=True) if low <= x <= high]
    boxes = [label.get_window_extent() for label in shown]
    assert len(boxes) >= 3
    assert all(right.x0 - left.x1 > 2 for left, right in pairwise(boxes))


def test_cdf_rises_from_0_to_100(series):
    axes = plot_cdf(series, what="latency")
    for line, histogram in zip(axes.get_lines(), series.values(), strict=False):
        x, y = line.get_data()
        assert np.all(np.diff(y) > 0)
        assert (y[0], y[-1]) == (0, 100)
        assert (x[0], x[-1]) == (histogram.min / 1e9, histogram.max / 1e9)


def test_phases_stack_to_the_mean_latency_and_name_what_is_not_seen():
    groups = {g.key[0]: g for g in _summary(container_host()).groups}
    axes = plot_phases(groups)
    for row_number, group in enumerate(groups.values()):
        mine = [p for p in axes.patches if round(p.get_y() + p.get_height() / 2) == row_number]
        total = sum(patch.get_width() for patch in mine)
        assert total == pytest.approx(group.metric("latency_ns").histogram.mean / 1e9)
    assert "(not seen: namespace lock, mntput loop)" in axes.get_xlabel()
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["path lookup", "umount tree", "RCU wait", "fs shutdown", "other"]
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        "sync\n125 umounts",
        "lazy\n62 umounts",
    ]
    assert set(PHASES) == set(PHASE_COLUMNS)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_a_sentence(kind, select):
    figure = figure_of(kind, select([]), source="rec.umt")
    figure.canvas.draw()
    for axes in figure.axes:
        assert axes.texts[0].get_text().startswith("No ")
        assert not [t for t in axes.get_xticklabels() + axes.get_yticklabels() if t.get_visible()]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ebusy"])
def test_one_umount_is_drawn_between_labelled_ticks(kind, select):
    rows = [row(t_start=T0_NS, rcu_ns=123_456, other_ns=999, n_mounts=3)]
    axes = figure_of(kind, select(rows), source="rec.umt").axes
    assert (
        len([text for text in _tick_texts(axes[-1 if kind in {"hist", "cdf"} else 0]) if text]) >= 2
    )
    assert "(1 umount" in axes[0].get_title(loc="left")


def test_latency_keeps_its_ticks_where_rcu_is_unknown(select):
    rows = [row(t_start=T0_NS, latency_ns=5_000_000)]
    figure = figure_of("hist", select(rows), source="rec.umt")
    upper, lower = figure.axes
    assert "10 ms" in _tick_texts(upper)
    assert upper.get_xlabel() == "duration"
    assert lower.texts[0].get_text() == "No umount with RCU wait above zero is known."


def test_draws_where_it_is_told_and_knows_no_gui(series):
    own = Figure().subplots()
    assert plot_hist(series, what="x", ax=own) is own
    assert "matplotlib.pyplot" not in sys.modules


def test_millions_of_values_are_a_handful_of_bars():
    values = np.random.default_rng(0).lognormal(12, 1, 3_000_000).astype(np.int64)
    (patch,) = plot_hist({"all": Histogram.of(values)}, what="latency").patches
    assert patch.get_data().values.sum() == 3_000_000
    assert patch.get_data().values.size < 100


@pytest.mark.parametrize("extreme", [[1], [2**63 - 1], [1, 2**63 - 1]])
def test_extremes_are_drawn(extreme):
    axes = plot_hist({"all": Histogram.of(extreme)}, what="latency")
    assert axes.patches[0].get_data().values.sum() == len(extreme)
    _tick_texts(axes)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_rows_make_the_same_file(tmp_path, suffix, select):
    names = [tmp_path / f"{n}.{suffix}" for n in range(2)]
    for name in names:
        save(figure_of("hist", select(container_host(20)), source="rec.umt"), name)
    assert names[0].read_bytes() == names[1].read_bytes()


def test_an_unknown_suffix_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="a picture ends in"):
        save(Figure(), tmp_path / "x.gif")


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0 s"), (1, "1 ns"), (1_234_567, "1.23 ms"), (999_999, "1 ms")]
)
def test_seconds(ns, text):
    assert seconds(ns) == text


@pytest.mark.parametrize("kind", KINDS)
def test_what_looks_like_a_formula_or_a_control_is_drawn_as_it_is(kind, select, tmp_path):
    evil = "/mnt/$\\frac{$x\x1b[31m\n"
    rows = [row | {"comm": evil, "path": evil} for row in container_host(20)]
    windows = [EbusyWindow(klass="held", spurious=False, begin_ns=1, end_ns=9, path=evil)]
    chosen = select(rows, windows=windows)
    save(figure_of(kind, chosen, by=("comm",), source="$\\q$.umt"), tmp_path / "x.svg")
    text = svg_of(figure_of(kind, chosen, by=("comm",)), "x")
    if kind in {"hist", "cdf", "phases", "modes"}:
        assert "\\frac{$x\ufffd[31m\ufffd" in text


@pytest.mark.parametrize("kind", ["hist", "cdf", "phases", "modes"])
def test_many_groups_are_short_names_and_the_rest_is_counted(kind, select):
    names = [f"{n:02}" * 32 for n in range(7)]
    rows = [row | {"container": names[n % 7]} for n, row in enumerate(container_host(70))]
    axes = figure_of(kind, select(rows), by=("container",)).axes
    assert axes[-1].get_xlabel().endswith(" not drawn)")
    assert "\n(3 more groups of " in axes[-1].get_xlabel()
    shown = [text.get_text() for text in (*axes[0].get_yticklabels(), *axes[0].get_legend().texts)]
    assert sum("000000000000" in text for text in shown) == 1
    assert not any(names[0] in text for text in shown)
    assert len(axes[0].get_title(loc="left")) < 60


def test_a_single_decade_has_labels_between_its_ends():
    def between():
        axes.figure.canvas.draw()
        low, high = axes.get_xlim()
        places = axes.xaxis.get_minorticklocs()
        texts = axes.xaxis.get_minor_formatter().format_ticks(places)
        return [text for at, text in zip(places, texts, strict=True) if text and low < at < high]

    axes = Figure().subplots()
    axes.plot([0.011, 0.06], [0, 1])
    log_duration_axis(axes)
    assert between() == ["20 ms", "50 ms"]
    axes.plot([0.0011, 0.06], [0, 1])
    log_duration_axis(axes)
    assert between() == []


def test_umounts_one_after_another_are_no_wall(select):
    rows = [row(t_start=T0_NS + n * 10**9, rcu_ns=10**8) for n in range(3)]
    axes = figure_of("timeline", select(rows), source="rec.umt").axes[0]
    low, high = sorted(axes.get_ylim())
    drawn = [path.get_extents() for each in axes.collections for path in each.get_paths()]
    assert drawn
    assert max(box.height for box in drawn) <= 0.2 * (high - low)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["1"]
