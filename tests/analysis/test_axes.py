"""Where a plot is drawn, how large it is, and what it says of few, many and badly named umounts."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from matplotlib.figure import Figure

import umtrace
from tests.api.conftest import write_recording
from tests.stats.rows import T0_NS, container_host, row
from umtrace.analysis.figures import KINDS
from umtrace.cli.main import run
from umtrace.model.windows import EbusyWindow, windows_to_arrow

WINDOW = EbusyWindow(klass="held", spurious=False, begin_ns=T0_NS, end_ns=T0_NS + 10**9, path="/m")


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    rows = [each | {"n_mounts": 1 + each["id"] % 5} for each in container_host(120)]
    path = tmp_path_factory.mktemp("axes") / "rec.umt"
    return umtrace.load(write_recording(path, rows, windows=windows_to_arrow([WINDOW])))


def drawn(tmp_path, kind, rows, windows=(), by="mode"):
    path = write_recording(tmp_path / "r.umt", rows, windows=windows_to_arrow(list(windows)))
    plots = umtrace.load(path).plot
    return getattr(plots, kind)(by=by) if kind in {"hist", "phases"} else getattr(plots, kind)()


@pytest.mark.parametrize("kind", KINDS)
def test_a_plot_is_drawn_into_the_axes_that_are_given(rec, kind):
    left, right = Figure().subplots(1, 2)
    assert getattr(rec.plot, kind)(ax=right) is right
    assert right.has_data()
    assert not left.has_data()


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_figure_has_the_size_that_is_asked_for(rec, kind):
    axes = getattr(rec.plot, kind)(figsize=(5, 3))
    assert tuple(axes.figure.get_size_inches()) == (5, 3)


def test_one_column_alone(rec):
    axes = rec.plot.cdf(column="rcu_ns")
    assert len(axes.figure.axes) == 1
    assert axes.get_title(loc="left").startswith("RCU wait (")
    with pytest.raises(umtrace.UsageError, match="no duration 'path'"):
        rec.plot.hist(column="path")


@pytest.mark.parametrize(
    "wrong", [{"figsize": "8x4"}, {"figsize": (0, 1)}, {"figsize": (1,)}, {"ax": 5}]
)
def test_what_is_no_place_or_size_is_an_error(rec, wrong):
    with pytest.raises(umtrace.UsageError):
        rec.plot.phases(**wrong)


def test_axes_have_their_size_already(rec):
    with pytest.raises(umtrace.UsageError, match="not with ax"):
        rec.plot.phases(ax=Figure().subplots(), figsize=(5, 3))


def test_size_and_dots_of_a_file(rec, tmp_path):
    file = tmp_path / "a.png"
    options = ["--kind", "phases", "--size", "6x3", "--dpi", "50", "-o", str(file)]
    assert run(["plot", str(rec.path), *options]) == 0
    assert struct.unpack(">II", file.read_bytes()[16:24]) == (300, 150)


@pytest.mark.parametrize("wrong", [("--size", "6"), ("--size", "0x3"), ("--dpi", "0")])
def test_sizes_that_are_none_are_one_line(rec, tmp_path, capsys, wrong):
    assert run(["plot", str(rec.path), *wrong, "-o", str(tmp_path / "a.png")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_page_has_pictures_of_that_size(rec, tmp_path):
    file = tmp_path / "a.html"
    assert run(["html", str(rec.path), "--size", "3x2", "-o", str(file)]) == 0
    assert 'viewBox="0 0 216 ' in file.read_text()  # 3 inches, in points


@pytest.mark.parametrize(("n", "medians", "line"), [(2, 0, ""), (6, 2, "None"), (9, 3, "-")])
def test_a_line_needs_three_medians_of_three_umounts(tmp_path, n, medians, line):
    rows = [row(t_start=T0_NS + k, rcu_ns=9 + k, n_mounts=2 ** (k // 3)) for k in range(n)]
    lines = [each for each in drawn(tmp_path, "mounts", rows).lines if each.get_marker() == "D"]
    assert [len(each.get_xdata()) for each in lines] == ([medians] if medians else [])
    assert {each.get_linestyle() for each in lines} == ({line} if line else set())


def test_a_short_bar_has_its_number(tmp_path):
    rows = [row(t_start=T0_NS + k, rcu_ns=5_000_000) for k in range(5)]
    rows += [row(t_start=T0_NS, mode="lazy", rcu_ns=20 * 10**9)]
    texts = {text.get_text().strip() for text in drawn(tmp_path, "phases", rows).texts}
    assert {"5 ms: RCU wait 100 %", "20 s"} <= texts


def test_groups_that_are_not_drawn_are_counted(tmp_path):
    rows = [row(t_start=T0_NS + k, comm=f"t{k % 60}", rcu_ns=9) for k in range(120)]
    label = drawn(tmp_path, "phases", rows, by="comm").get_xlabel()
    assert label.endswith("(56 more groups of 112 umounts not drawn)")


def test_they_are_counted_as_those_that_are(tmp_path):
    rows = [
        row(t_start=T0_NS + k, comm=f"t{k % 6}", rcu_ns=9, errno=16 * (k < 12)) for k in range(60)
    ]
    axes = drawn(tmp_path, "phases", rows, by="comm")
    assert "(32 umounts that did not fail)" in axes.get_title(loc="left")
    assert axes.get_xlabel().endswith("(2 more groups of 16 umounts not drawn)")


def test_a_phase_that_took_no_time_has_no_key(tmp_path):
    rows = [row(t_start=T0_NS, lookup_ns=5, rcu_ns=0, shutdown_ns=0)]
    rows += [row(t_start=T0_NS, mode="lazy", lookup_ns=5, tree_ns=7, other_ns=3)]
    axes = drawn(tmp_path, "phases", rows)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["path lookup", "umount tree", "other"]
    assert "(took no time: RCU wait, fs shutdown)" in axes.get_xlabel()


def _outliers(n):
    rows = [row(t_start=T0_NS + k, rcu_ns=1_000_000) for k in range(n)]
    return rows + [row(t_start=T0_NS, mode="lazy", rcu_ns=20 * 10**9)] * 3


def test_a_bar_too_low_to_be_seen_has_a_mark(tmp_path):
    axes = drawn(tmp_path, "hist", _outliers(1000))
    (marks, _key) = axes.lines
    assert marks.get_marker() == "s", "that of the second series"
    assert marks.get_xdata() == pytest.approx(20, rel=0.3)
    assert "marks: too few for a bar" in [t.get_text() for t in axes.get_legend().get_texts()]


def test_a_bar_that_is_seen_has_none(tmp_path):
    assert not drawn(tmp_path, "hist", _outliers(100)).lines


def test_three_histograms_over_one_another_are_outlines(tmp_path):
    rows = [row(t_start=T0_NS + k, comm=f"t{k % 3}", rcu_ns=9 + k) for k in range(30)]
    assert [bar.get_fill() for bar in drawn(tmp_path, "hist", rows, by="comm").patches] == [
        False
    ] * 3


def test_two_are_filled(tmp_path):
    assert [bar.get_fill() for bar in drawn(tmp_path, "hist", _outliers(9)).patches] == [True] * 2


def test_decades_that_would_touch_are_labelled_in_part(tmp_path):
    rows = [row(t_start=T0_NS, rcu_ns=10**k, lookup_ns=30) for k in range(2, 12)]
    axes = drawn(tmp_path, "modes", rows)
    axes.figure.set_size_inches(6, 4)
    axes.figure.draw_without_rendering()
    shown = [label for label in axes.get_xticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in shown]
    assert len(boxes) >= 3
    assert all(right.x0 - left.x1 > 2 for left, right in pairwise(boxes))


def test_names_that_are_long_leave_room_and_stay_apart(tmp_path):
    rows = [row(t_start=T0_NS + k, comm="x" * 300 + str(k % 2), rcu_ns=9) for k in range(4)]
    axes = drawn(tmp_path, "hist", rows, by="comm")
    labels = [text.get_text().partition(":")[0] for text in axes.get_legend().get_texts()]
    assert len(set(labels)) == 2
    assert max(map(len, labels)) < 30


def test_an_umount_too_short_for_its_phases_has_the_colour_of_the_longest(tmp_path):
    rows = [row(t_start=T0_NS + k * 10**9, rcu_ns=900, shutdown_ns=100) for k in range(30)]
    axes = drawn(tmp_path, "timeline", rows)
    assert {each.get_gid() for each in axes.collections} == {"rcu_ns"}


def test_the_title_keeps_windows_apart_in_which_nobody_got_ebusy(tmp_path):
    tail = EbusyWindow(klass="lazy-tail", spurious=False, begin_ns=T0_NS, end_ns=T0_NS + 5)
    axes = drawn(tmp_path, "ebusy", [], [WINDOW, tail])
    assert axes.get_title(loc="left") == "EBUSY windows (1), in use after umount (1)"


@pytest.mark.parametrize(("other_ns", "title"), [(900, "Time in umounts"), (None, "Umounts at")])
def test_many_failed_calls_have_a_time_and_no_count_with_zeros(tmp_path, other_ns, title):
    rows = [
        row(t_start=T0_NS + n * 50_000_000, latency_ns=900, errno=-16, other_ns=other_ns)
        for n in range(500)
    ]
    axes = drawn(tmp_path, "timeline", rows)
    assert axes.get_title(loc="left").startswith(title)
    if other_ns is None:
        assert [text.get_text() for text in axes.texts][:1] == ["No umount with known phases."]
        return
    axes.figure.canvas.draw()
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert all(tick.endswith("s") for tick in ticks), ticks
    assert axes.get_ylabel().startswith("time in umounts in ")


@pytest.mark.parametrize("kind", ["heatmap", "timeline", "ebusy"])
def test_an_axis_begins_when_the_umounts_did(rec, kind):
    axes = getattr(rec.plot, kind)()
    assert "2026-01-01" in axes.get_xlabel()
    assert axes.get_xlim()[0] > -1
