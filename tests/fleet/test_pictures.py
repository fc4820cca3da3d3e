"""`umtrace fleet plot` and `html`, and `umtrace.fleet.open`, on a made fleet."""

from __future__ import annotations

import pytest

import umtrace
from bench.made_fleet import make, spoil
from tests.fleet.fleets import cli_of
from umtrace.model.errors import UsageError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Sixty hosts of three kernels; one is slow, one file is short, one double."""
    folder = tmp_path_factory.mktemp("made")
    make(folder, 60, 400)
    spoil(folder, 60)
    return folder


def test_the_same_seed_makes_the_same_fleet(fleet, tmp_path):
    make(tmp_path, 2, 400)
    for path in tmp_path.rglob("*.parquet"):
        assert (fleet / path.relative_to(tmp_path)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["hosts", "cdf", "hist", "phases"])
def test_plots(fleet, tmp_path, kind):
    status, _ = cli_of("plot", fleet, "--kind", kind, "-o", tmp_path / "a.svg")
    assert status == 5  # a file is damaged
    svg = (tmp_path / "a.svg").read_text()
    assert "<svg" in svg
    assert "6.12.1" in svg
    cli_of("plot", fleet, "--kind", kind, "-o", tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_text() == svg


def test_the_slow_host_is_named_in_the_plot(fleet, tmp_path):
    cli_of("plot", fleet, "-o", tmp_path / "a.svg")
    assert "node0017" in (tmp_path / "a.svg").read_text()


def test_the_page(fleet, tmp_path):
    (tmp_path / "hosts").write_text("node0001\nnode7777\n")
    status, _ = cli_of("html", fleet, "-o", tmp_path / "f.html", "--expect", tmp_path / "hosts")
    page = (tmp_path / "f.html").read_text()
    assert status == 5
    assert page.count("<figure ") == 3
    for text in ("node7777", "node0017", "shop/web-1", "Verdicts", "Owners", "fetches nothing"):
        assert text in page
    assert page.count("<script") == 1, "the one that sorts tables"
    for text in ("http://", "https://", "Probe plan"):
        assert text not in page.replace("http://www.w3.org", "")


def test_names_are_escaped_in_the_page(tmp_path):
    from tests.fleet.fleets import record, summarize

    record(tmp_path / "x.umt", host="<b>\x1b[31m", kernel="<script>alert(1)</script> x")
    summarize(tmp_path / "x.umt", tmp_path / "f")
    cli_of("html", tmp_path / "f", "-o", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert page.count("<script") == 1, "the one that sorts tables"
    assert "alert(1)</script>" not in page
    assert "\x1b" not in page
    assert "\x1b" not in cli_of("report", tmp_path / "f")[1]


def test_frames(fleet):
    found = umtrace.fleet.open(fleet, by=("kernel", "mode"), where={"host": "node00*"})
    assert found.hosts.loc["node0005", "umounts"] == 400
    assert found.groups["umounts"].sum() == found.hosts["umounts"].sum()
    assert "shop/web-1" in found.owners.index
    assert set(found.verdicts["kind"]) == {"damaged", "duplicate"}
    assert {"measure", "bucket", "count"} <= set(found.cells.columns)
    assert found.plot("hosts").has_data()
    assert "node0017" in str(found)
    assert "<table" in found._repr_html_()


def test_compare(fleet):
    a, b = (
        umtrace.fleet.open(fleet, by="mode", where={"kernel": kernel})
        for kernel in ("6.12.1 *", "6.18*")
    )
    frame = a.compare(b).to_frame()
    assert {"slower", "faster"} & set(frame["verdict"].dropna())


def test_errors(fleet):
    with pytest.raises(UsageError, match="no key"):
        umtrace.fleet.open(fleet, by="path")
    with pytest.raises(UsageError, match="no plot"):
        umtrace.fleet.open(fleet).plot("pie")
    with pytest.raises(UsageError, match="neither a summary"):
        str(umtrace.fleet.open(fleet, span=("2030-01-01", None)))
