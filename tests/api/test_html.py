from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from base64 import b64encode
from contextlib import redirect_stderr, redirect_stdout
from hashlib import sha256
from html import unescape
from pathlib import Path

import pyarrow as pa
import pytest

import umtrace
from tests.api.conftest import evidence, write_recording
from tests.stats.rows import T0_NS, container_host, row
from umtrace.cli.main import run

_RECORDINGS = Path(__file__).parents[2] / "recordings"
_UTC = pa.timestamp("ns", tz="UTC")
_BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=NetworkTimeServiceQuerying",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # what the browser itself looks for stays unfound
    "--hide-scrollbars",
    "--enable-logging=stderr",  # what a page writes to the console, errors included
)
#: runs outside of the page, whose policy lets no other script run than its own
_MEASURE = """
onload = () => {
  const page = f.contentDocument, root = page.documentElement, width = f.contentWindow.innerWidth;
  const scrolls = e => e.parentElement && (e.parentElement.closest(".wide, svg, details") !== null);
  const wide = [...page.querySelectorAll("body *")].filter(
    e => e.getBoundingClientRect().right > width + 0.5 && !scrolls(e));
  const table = page.querySelector("#phases table.sortable");
  const column = () => [...table.tBodies[0].rows].map(row => row.cells[1].dataset.value);
  const heads = table.tHead.rows[0].cells;
  heads[1].querySelector("button").click();
  const down = column();
  heads[1].querySelector("button").click();
  document.title = JSON.stringify({
    inner: width, content: root.scrollWidth, title: page.title, down, up: column(),
    sort: heads[1].getAttribute("aria-sort"),
    tables: page.querySelectorAll("table").length,
    wide: wide.map(e => e.tagName + " " + e.className + " " + e.textContent.slice(0, 40)),
    whatif: page.querySelector("#picture-whatif svg").getBoundingClientRect().width,
    fetched: f.contentWindow.performance.getEntriesByType("resource").length,
    lost: [...page.querySelectorAll("a[href^='#']")].map(a => a.getAttribute("href").slice(1))
      .filter(id => page.getElementById(id) === null),
  });
}
"""


def _windows(schema_of):
    """Return EBUSY windows as the recording knows them; None where it knows none."""
    schema = schema_of()
    if schema is None:
        return None
    values = {
        "class": ["transient-ref", "held"],
        "begin": [T0_NS, T0_NS + 10**9],
        "duration_ns": [40_000, 3 * 10**9],
        "path": ["/mnt/<b>", "/mnt/held"],
        "evidence": [evidence("refcount 3 at the busy check", "gone after 40 µs"), evidence()],
        "holders": [evidence(), evidence({"pid": 7, "comm": "bash", "kind": "cwd"})],
        "umount_id": [1, 2],
        "attempts": [1, 4],
        "cost_ns": [30_000, 120_000],
    }
    columns = [
        pa.array(values[f.name], pa.int64()).cast(f.type)
        if f.name in values and pa.types.is_timestamp(f.type)
        else pa.array(values.get(f.name, [None, None]), f.type)
        for f in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _ebusy_schema():
    from umtrace.recording import TABLES

    return next((kind.schema for kind in TABLES if kind.name == "ebusy"), None)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of one recording, drawn once: nobody writes to it."""
    folder = tmp_path_factory.mktemp("page")
    path, target = folder / "rec.umt", folder / "page.html"
    write_recording(
        path, container_host(300), windows=_windows(_ebusy_schema), command=("umtrace", "x")
    )
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert run(["html", str(path), "-o", str(target)]) == 0
    assert (out.getvalue(), err.getvalue()) == ("", "")
    return target


def test_the_page_tells_all_there_is(page):
    text = page.read_text()
    for heading in ("Pictures", "Groups", "Worst umounts", "EBUSY windows", "Probe plan"):
        assert f"<h2>{heading}</h2>" in text
    assert "losses: none" in text
    assert text.count("<figure id=") >= 5
    assert text.count("<li>\n<div") == 15
    if _ebusy_schema() is not None:
        assert "gone after 40 µs" in text
        assert "bash (7): cwd" in text
        assert "</span>, end not seen, from " in text
        listed = text[text.index("<details") :]
        assert listed.index("/mnt/held") < listed.index("/mnt/&lt;b&gt;")


def test_the_page_needs_nothing_else(page):
    text = page.read_text()
    assert "default-src 'none'" in text
    assert not re.findall(r"https?://", text)
    assert not re.findall(r"<script [^>]|<link|<iframe|@import", text)
    assert set(re.findall(r'(?:src|href)="([^#"][^"]{0,20})', text)) <= {"data:image/png;base64"}


def test_ids_are_unique_and_refer_to_something(page):
    text = page.read_text()
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) <= set(ids)


def test_pictures_are_well_formed_and_follow_the_theme(page):
    for svg in re.findall(r"<svg.*?</svg>", page.read_text(), re.DOTALL):
        ET.fromstring(svg)
        assert "var(--" in svg
        assert "#000000" not in svg


def test_texts_of_a_recording_are_only_text(write, evil_rows):
    html = umtrace.load(write(evil_rows)).to_html(by="comm")
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "<b>operation" not in html
    assert "\x1b" not in html
    assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("rows", [[], [row(t_start=T0_NS)], [row(t_start=T0_NS, rcu_ns=5)]])
def test_little_is_a_page_too(write, rows):
    html = umtrace.load(write(rows, plan=())).to_html()
    assert "<h1>What umount cost</h1>" in html
    assert "The recording has none." in html


def test_does_not_replace_a_file_unasked(tmp_path, write):
    page = tmp_path / "page.html"
    page.write_text("mine")
    path = write([], name="other.umt")
    assert run(["html", str(path), "-o", str(page)]) == 2
    assert page.read_text() == "mine"
    assert run(["html", str(path), "-o", str(page), "--force"]) == 0
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_the_first_sentence_is_that_of_the_report(page, capsys):
    assert run(["report", str(page.parent / "rec.umt")]) == 0
    sentence = " ".join(capsys.readouterr().out.split("\n\n")[0].split())
    text = page.read_text()
    assert f'<div class="verdict"><p><b>{sentence}</b></p>' in text


def test_only_the_script_of_the_page_may_run(page):
    text = page.read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


@pytest.mark.slow
@pytest.mark.skipif(_BROWSER is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [375, 800, 1600])
def test_a_browser_shows_it_without_overflow_network_or_errors(page, tmp_path, width):
    """In a frame of exactly that width, for a window cannot be as narrow as a phone."""
    (tmp_path / "inner.html").write_text(page.read_text())
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<iframe id="f" src="inner.html" width="{width}" height="900" style="border:0"></iframe>'
        f"<script>{_MEASURE}</script>"
    )
    done = subprocess.run(
        [
            _BROWSER,
            *_FLAGS,
            "--allow-file-access-from-files",
            "--virtual-time-budget=5000",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=2100,1000",
            "--dump-dom",
            outer.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
    measured = json.loads(unescape(re.search(r"<title>(.*?)</title>", done.stdout)[1]))
    assert measured["inner"] == width
    assert measured["content"] <= width
    assert measured["wide"] == []
    assert measured["whatif"] >= 380  # px, of a picture with text of 6 points
    assert measured["lost"] == []
    assert measured["fetched"] == 0
    assert measured["title"].endswith("rec.umt")
    assert measured["tables"] >= 3
    numbers = [float(value) for value in measured["down"] if value]
    assert len(numbers) > 2
    assert numbers == sorted(numbers, reverse=True)
    assert [float(value) for value in measured["up"] if value] == sorted(numbers)
    assert measured["sort"] == "ascending"


def test_other_designs_have_a_section_with_the_sentence_of_the_command(page, capsys):
    assert run(["whatif", str(page.parent / "rec.umt"), "--json"]) == 0
    sentence = json.loads(capsys.readouterr().out)["sentence"]
    text = page.read_text()
    section = text[text.index('<section id="whatif">') :]
    section = section[: section.index("</section>")]
    assert sentence
    assert f">{sentence}</p>" in section
    assert section.count('<figure id="picture-whatif">') == 1
    assert all(f">{name}</th>" in section for name in ("A", "B", "B2", "C", "D"))


def test_too_many_umounts_are_not_simulated_for_a_page(write, monkeypatch):
    monkeypatch.setattr("umtrace.page.gathered._MOST_SIMULATED", 10)
    html = umtrace.load(write(container_host(11))).to_html()
    assert "11 umounts are not simulated for this page, 10 are at most" in html
    assert "picture-whatif" not in html


def test_a_mount_in_use_after_its_umount_is_not_called_ebusy():
    html = umtrace.load(_RECORDINGS / "lab-ebusy.umt").to_html()
    listed = re.findall(r"<summary><b>([a-z-]+)</b>(?: <span[^>]*>([^<]*)</span>)?", html)
    assert {verdict for klass, verdict in listed if klass == "lazy-tail"} == {
        "in use after its umount"
    }
    assert {verdict for klass, verdict in listed if klass == "held"} == {"real"}
