"""Every section is in every format; a new one needs its file and a line in `reported`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from pkgutil import iter_modules

import pytest

from tests.present.reports import of_rows
from tests.stats.rows import container_host
from umtrace.ebusy.counters import WalkCounters
from umtrace.model.holders import Holder
from umtrace.model.windows import EbusyWindow, windows_to_arrow
from umtrace.page.html import Page, page_html
from umtrace.present import sections
from umtrace.present.ebusy import UNSEEN_WALKS
from umtrace.present.heading import heading_of
from umtrace.present.report.as_csv import report_csv
from umtrace.present.report.as_json import report_json
from umtrace.present.report.as_markdown import report_markdown
from umtrace.present.report.as_text import report_text
from umtrace.present.report.section import (
    BLOCK_FORMATS,
    Bars,
    Bin,
    Column,
    Kind,
    Lines,
    Section,
    Table,
)
from umtrace.present.report.short import short_text
from umtrace.query.selection import Selection
from umtrace.recording import Recording
from umtrace.report_contents import gather, report_of
from umtrace.stats.columns import plain_rows
from umtrace.stats.summary import GroupSummary

_WALKS = "Path walks at a dying mount"
LAB = Path(__file__).parents[2] / "recordings" / "lab-ebusy.umt"
NAMES = sorted(module.name for module in iter_modules(sections.__path__))


def _html(report):
    return page_html(Page(report=report, total=GroupSummary()))


WRITERS = {
    "text": report_text,
    "markdown": report_markdown,
    "csv": report_csv,
    "json": report_json,
    "html": _html,
}


@pytest.fixture(scope="module")
def rich():
    """The report of a recording that has something for every section."""
    opened = Recording.open(LAB)
    found = gather(Selection(opened), ["mode"])
    return report_of(found, heading_of(opened))


@pytest.fixture
def nothing(heading):
    return of_rows([], heading, ())


def test_every_file_of_sections_is_in_the_report(rich):
    assert sorted(section.name for section in rich.sections) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_section_has_a_line_and_a_weight(rich, nothing, name):
    for report in (rich, nothing):
        (section,) = report.only([name]).sections
        assert 0 < len(section.line) <= 80
        assert section.line.isprintable()
        assert section.weight > 0
        assert section.title


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_section_is_in_every_format(rich, name, form):
    write = WRITERS[form]
    without = write(replace(rich, sections=()))
    (section,) = rich.only([name]).sections
    more = set(write(rich.only([name])).splitlines()) - set(without.splitlines())
    assert len(more) >= 2
    shown = {"markdown": f"### {section.title}", "html": f"<h2>{section.title}</h2>"}
    assert shown.get(form, "") in "\n".join(more)


@pytest.mark.parametrize("name", NAMES)
def test_csv_of_a_section_is_one_table(rich, nothing, name):
    for report in (rich, nothing):
        text = report_csv(report.only([name]))
        head, *rows = csv.reader(io.StringIO(text))
        assert len(set(head)) == len(head) > 1
        assert all(len(row) == len(head) for row in rows)
        assert bool(rows) or report is nothing
        assert "-" not in {cell for row in rows for cell in row}  # unknown is empty


def test_the_groups_are_the_first_table_of_csv(rich):
    tables = report_csv(rich).split("\n\n")
    assert len(tables) == len(rich.sections)
    assert tables[0] + "\n" == report_csv(rich.only(["groups"]))


def _toy():
    columns = [
        Column("toy_name"),
        Column("plays", Kind.COUNT),
        Column("played_ns", Kind.DURATION_NS),
        Column("share", Kind.PERCENT),
    ]
    rows = [["top|spin", 12_345, 1_230_000, 0.25], ["kite", None, None, None]]
    return Section(
        name="toys",
        title="Toys of all",
        line="toys: 2",
        weight=1,
        blocks=[
            Lines(["Two toys <were> seen."]),
            Table(columns, rows),
            Bars("plays of top", [Bin(None, 1_000, 3), Bin(1_000, None, 1)]),
        ],
        data={"toys": [{"name": "kite", "plays": None}]},
    )


def test_a_toy_is_in_all_five_formats(rich):
    report = replace(rich, sections=[*rich.sections, replace(_toy(), weight=100)])
    text = report_text(report)
    assert "Two toys <were> seen.\n" in text
    assert "top|spin  12,345  1.23 ms  25.0 %\n" in text
    assert "kite           -        -       -\n" in text
    assert "plays of top\n" in text
    markdown = report_markdown(report)
    assert "### Toys of all\n\n- Two toys \\<were\\> seen.\n\n| toy name | plays |" in markdown
    assert "| top\\|spin | 12,345 | 1.23 ms | 25.0 % |\n| kite | - | - | - |" in markdown
    assert "plays of top\n      0 ns .. 1 µs" in markdown
    table = "toy_name,plays,played_ns,share\ntop|spin,12345,1230000,0.25\nkite,,,\n"
    assert report_csv(report).endswith("\n\n" + table)
    assert json.loads(report_json(report))["toys"] == _toy().data
    html = _html(report)
    assert "<h2>Toys of all</h2>" in html
    assert "Two toys &lt;were&gt; seen." in html
    assert "1.23 ms" in html
    assert "<summary>plays of top</summary>" in html
    assert "toys: 2\n" in short_text(report)


@pytest.mark.parametrize("block", [Lines(["one"]), Bars("b", [Bin(1, None, 2)])])
def test_csv_has_a_table_of_any_block(rich, block):
    toy = replace(_toy(), blocks=[replace(block, formats=BLOCK_FORMATS)])
    lines = report_csv(replace(rich, sections=[toy])).splitlines()
    assert lines in (["line", "one"], ["low_ns,high_ns,count", "1,,2"])


def test_texts_of_a_table_share_the_room_and_no_number_is_cut(heading):
    columns = [Column("path"), Column("comm"), Column("plays", Kind.COUNT)]
    toy = replace(_toy(), blocks=[Table(columns, [["/" + "p" * 200, "c" * 15, 10**9]])])
    lines = report_text(replace(of_rows(container_host(5), heading), sections=[toy])).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith("… " + "c" * 15 + " 1,000,000,000")


def test_a_report_of_nothing_has_no_section_about_umounts_to_read(nothing):
    assert [len(section.blocks_of("csv")) for section in nothing.sections] == [1] * len(NAMES)
    assert sorted(json.loads(report_json(nothing))) == sorted([*NAMES, "losses", "meta"])
    names = ["groups", "phases", "histograms", "ebusy", "walkers"]
    of_umounts = nothing.only(names)
    assert report_text(of_umounts).endswith("or try\n`umtrace record -- umtrace exercise`.\n")
    assert "###" not in report_markdown(of_umounts)
    assert _html(of_umounts).count("<p>None.</p>") == len(names)


def test_the_windows_that_are_left_out_are_counted(rich):
    lines = report_text(rich.only(["ebusy"])).splitlines()
    assert "and 117 more: `umtrace ebusy DIR` lists them" in lines[-1]
    assert "  EBUSY held (real), 26 calls, held at most 912 ms: /tmp/e/exe.0" in lines


def test_no_miss_of_a_probe_is_none_on_the_page(nothing):
    counters = {"a": None, "b": {}, "c": {"um_entry_mntput": 3}, "d": (0, 7), "e": 0}
    html = page_html(Page(report=nothing, total=GroupSummary(), counters=counters))
    for shown in ("not counted", "none", "um_entry_mntput: 3", "0, 7", "0"):
        assert f"<td>{shown}</td>" in html


@pytest.mark.parametrize(
    ("named", "shown"), [(2, "held by: 2 of 3 references</p>"), (None, "held by</p>")]
)
def test_the_page_says_how_many_references_the_holders_have(nothing, named, shown):
    holder = Holder(kind="fd", pid=7, comm="nginx", detail="/mnt/x")
    window = EbusyWindow(
        klass="held",
        spurious=False,
        begin_ns=1,
        end_ns=2,
        refs=3,
        refs_named=named,
        holders=(holder,),
    )
    rows = list(plain_rows([windows_to_arrow([window])]))
    html = page_html(Page(report=nothing, total=GroupSummary(), windows=rows, n_windows=1))
    assert shown in html


def test_short_is_one_screen(rich, nothing, heading):
    problems = [f"umounts-{n:05}.parquet: damaged, skipped, " + "x" * 99 for n in range(30)]
    damaged = replace(rich, heading=replace(heading, problems=tuple(problems)))
    light = replace(_toy(), line="y" * 900)
    for report in (rich, nothing, damaged, replace(damaged, sections=[*rich.sections, light])):
        lines = short_text(report).splitlines()
        assert len(lines) <= 23
        assert max(map(len, lines)) <= 80
    assert "lines more" in short_text(damaged)


def test_short_has_the_heaviest_sections(rich):
    lines = short_text(rich).splitlines()
    assert lines[0].startswith("/tmp/e/exe.0 was busy longest, ")
    assert any(line.startswith("RCU wait: 88.8 % of the time of 198 umounts") for line in lines)
    heaviest = sorted(rich.sections, key=lambda section: -section.weight)
    shown = [section for section in heaviest if section.line in lines]
    assert shown == heaviest[: len(shown)]
    assert len(shown) >= 3
    places = [lines.index(section.line) for section in shown]
    assert places == sorted(places)
    many = [replace(_toy(), name=f"toy{n}", line=f"toy {n}") for n in range(30)]
    text = short_text(replace(rich, sections=[*rich.sections, *many]))
    assert heaviest[0].line in text
    assert "toy 29" not in text
    assert "sections more (--full)" in text


@pytest.mark.parametrize(
    ("counters", "line", "text"),
    [
        (
            WalkCounters(umounts=5),
            "walkers: not seen in this tier",
            f"In use after umount: {UNSEEN_WALKS}\n{_WALKS}: {UNSEEN_WALKS}\n",
        ),
        (
            WalkCounters(umounts=5, puts_known=2, stolen=0),
            "walkers: not seen in this tier; 0 of 2 last references dropped by others",
            (
                f"{_WALKS}: {UNSEEN_WALKS}\n"
                "Last references of sync umounts dropped by others: 0 of 2 seen\n"
            ),
        ),
        (
            WalkCounters(umounts=5, held_known=4, held=1),
            "walkers: not seen in this tier",
            (
                f"In use after umount: {UNSEEN_WALKS}\n{_WALKS}: {UNSEEN_WALKS}\n"
                "Umounts with a mount that somebody else held: 1 of 4 counted (1 not counted)\n"
            ),
        ),
        (
            WalkCounters(umounts=5, discounted=3, must_put=0, met=1),
            "walkers: 3 backed off",
            (
                f"{_WALKS}, in 5 successful umounts:\n"
                "  umounts with one: 1; walks that backed off: 3; that had to drop a reference: 0\n"
            ),
        ),
    ],
)
def test_walks_that_a_tier_does_not_see_are_one_line(rich, counters, line, text):
    seen = sections.walkers.section(counters, 5)
    assert seen.line == line
    assert report_text(replace(rich, sections=[seen])).endswith(f"\n\n{text}")
    markdown = report_markdown(replace(rich, sections=[seen]))
    assert ("not seen in this tier" in markdown) == (counters.discounted is None)
    assert "| - |" not in markdown


def test_short_says_how_much_is_left_out(rich):
    for report in (rich, replace(rich, sections=rich.sections[:1])):
        whole = report_text(report).count("\n")
        last = short_text(report).splitlines()[-1]
        assert last == f"The whole report has {whole} lines: --full"
    lines = short_text(rich).splitlines()
    heaviest = sorted(rich.sections, key=lambda section: -section.weight)
    expected = [each.line for each in heaviest if each.line in lines]
    assert len(expected) > 1
    assert [line for line in lines if line in expected] == expected
