"""The picture of the designs: marks at the medians, intervals, and unknown with its reason."""

from __future__ import annotations

import struct

import pytest

import umtrace
from tests.api.conftest import write_recording
from tests.whatif.loads import MS, umount
from umtrace.cli.main import run


def rows(n):
    return [
        umount(
            k * 10 * MS,
            tid=k,
            lookup=2_000 + 13 * k % 700,
            rcu=MS + 1_000 * k,
            shutdown=40_000,
            mode=["sync", "lazy"][k % 2],
            n_held=int(k % 10 == 0),
        )
        for k in range(n)
    ]


@pytest.fixture
def drawn(tmp_path):
    def draw(made, name="r.umt", **options):
        return umtrace.load(write_recording(tmp_path / name, made)).plot.whatif(**options)

    return draw


def marks(axes):
    return [each for each in axes.lines if each.get_marker() not in {"None", ""}]


def texts(axes):
    return " ".join(text.get_text().replace("\n", " ") for text in axes.texts)


def test_marks_are_the_medians(drawn, tmp_path):
    axes = drawn(rows(30), normal_gp="15ms")
    found = umtrace.load(tmp_path / "r.umt").whatif(normal_gp="15ms").times
    medians = found[(found["quantile"] == 0.5) & (found["umounts"].isin(["sync", "lazy"]))]
    sync = [1e9 * mark.get_xdata()[0] for mark in marks(axes) if mark.get_marker() == "o"]
    expected = medians[medians["umounts"] == "sync"]["value_ns"].tolist()
    assert sync == pytest.approx(expected)
    assert len(sync) == 5, "one for each design"
    assert len(marks(axes)) == 15


def test_title_and_legend_name_the_population(drawn):
    failed = [{**each, "errno": 16} for each in rows(4)]
    axes = drawn([*rows(30), *failed])
    assert (
        axes.get_title(loc="left") == "Simulated under each design (30 umounts that did not fail)"
    )
    labels = [text.get_text().replace("\n", " ") for text in axes.get_legend().get_texts()]
    assert labels[:2] == ["caller waits, sync: 15 umounts", "caller waits, lazy: 15 umounts"]


def test_unknown_is_written_with_its_reason(drawn):
    without = [{**each, "n_held": None} for each in rows(30)]
    axes = drawn(without)
    assert [text.get_text() for text in axes.texts if "unknown" in text.get_text()] == [
        *["shut down: unknown"] * 3,
        "unknown",
    ]
    below = axes.get_xlabel().replace("\n", " ")
    assert "(B, B2, C: no length of a normal grace period is known" in below
    assert "(D: n_held is in no row" in below
    known = drawn(rows(30), "known.umt", normal_gp="15ms")
    assert "unknown" not in texts(known)
    assert "(assumed: normal grace periods of 15ms)" in known.get_xlabel()


def test_series_differ_without_colour(drawn):
    by_look = {(mark.get_marker(), mark.get_color()) for mark in marks(drawn(rows(30)))}
    assert len({marker for marker, _ in by_look}) == len(by_look) == 3


@pytest.mark.parametrize(
    ("made", "said"),
    [([], "No umount was recorded."), ([{**rows(1)[0], "errno": 16}], "No umount succeeded.")],
)
def test_nothing_is_a_sentence(drawn, made, said):
    axes = drawn(made)
    assert texts(axes) == said
    assert not axes.has_data()


def test_one_umount_has_no_interval(drawn):
    axes = drawn(rows(1))
    thick = [line for line in axes.lines if line.get_linewidth() == 5]
    assert all(len(set(line.get_xdata())) == 1 for line in thick)


def test_the_command_takes_assumptions_and_sizes(drawn, tmp_path, capsys):
    drawn(rows(30))
    path, out = str(tmp_path / "r.umt"), tmp_path / "w.png"
    options = ["--normal-gp", "15ms", "--hz", "1000", "--size", "7x6", "--dpi", "50"]
    assert run(["plot", path, "--kind", "whatif", *options, "-o", str(out)]) == 0
    assert struct.unpack(">II", out.read_bytes()[16:24]) == (350, 300)
    for wrong in (["--hz", "1000"], ["--normal-gp", "15ms"]):
        capsys.readouterr()
        assert run(["plot", path, "--kind", "cdf", *wrong, "-o", str(out), "-f"]) == 2
        assert f"{wrong[0]} is for --kind whatif" in capsys.readouterr().err
