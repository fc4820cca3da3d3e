"""A report as Markdown, for an issue or a mail."""

from __future__ import annotations

import re
from collections.abc import Sequence

from umtrace.present.bars import bars
from umtrace.present.heading import heading_lines, loss_text
from umtrace.present.report.as_text import sentences
from umtrace.present.report.cells import flat
from umtrace.present.report.section import Bars, Kind, Lines, Report, Section, Table
from umtrace.present.report.walk import walk
from umtrace.present.terminal import clean

_MARKUP = re.compile(r"([\\`*_<>|\[\]#])")


def report_markdown(report: Report) -> str:
    """Return the head, what it comes to, and each section under a heading."""
    form = MarkdownFormat()
    losses = loss_text(report.heading.losses, report.heading.tier)
    lines = [f"`{clean(report.heading.source)}`, losses: {losses}"]
    lines += [part for text in report.heading.problems for part in ("", _damage(text))]
    lines += ["", *form.lines(Lines([*_facts(report), *sentences(report)]))]
    for written in walk(report.sections, form):
        lines += ["", *written] if written else []
    return "\n".join(lines) + "\n"


def _facts(report: Report) -> list[str]:
    """Return what the head says beside source, losses and damage, which stand above."""
    _, *facts = heading_lines(report.heading, report.n_incomplete, report.n_rows)
    return [fact for fact in facts if not fact.startswith(("losses: ", "DAMAGED: "))]


def _damage(text: str) -> str:
    return f"DAMAGED: {_plain(text)}"


class MarkdownFormat:
    """Tables, lists, and bars as text that is kept as it is."""

    name = "markdown"

    def lines(self, block: Lines) -> list[str]:
        """Return an entry of a list for each sentence."""
        return [f"- {_plain(text.strip())}" for text in block.texts]

    def table(self, block: Table) -> list[str]:
        """Return a table; bars are left out."""
        places = [n for n, column in enumerate(block.columns) if column.kind is not Kind.BAR]
        columns = [block.columns[n] for n in places]
        rows = [
            list(map(_plain, line))
            for row in block.rows
            for line in flat(columns, [row[n] for n in places])
        ]
        names = [_plain(column.heading.replace("\n", " ")) for column in columns]
        rule = ["---:" if column.is_right else "---" for column in columns]
        title = [_plain(block.title), ""] if block.title else []
        return [*title, *_table([names, rule, *rows])] if rows else title[:1]

    def bars(self, block: Bars) -> list[str]:
        """Return the lines of a terminal."""
        return ["```", clean(block.title), *bars(block.bins), "```"]

    def section(self, section: Section, parts: list[list[str]]) -> list[str]:
        """Return the blocks under a heading, apart from one another."""
        body = [line for part in parts if part for line in ("", *part)]
        return [f"### {section.title}", *body] if body else []


def _plain(text: str) -> str:
    """Return text in which nothing is markup."""
    return _MARKUP.sub(r"\\\1", clean(text))


def _table(lines: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in lines]
