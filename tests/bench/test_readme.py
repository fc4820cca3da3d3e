"""README.md: its figures come from bench/results, its commands and options exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from bench import readme
from umtrace.cli.filters import filter_options
from umtrace.cli.group import COMMANDS
from umtrace.cli.main import umtrace
from umtrace.model import errors

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
#: what doc_tables.py writes, and is held to elsewhere
_WRITTEN = re.compile(r"<!-- begin: .*?<!-- end: [^>]*-->", re.DOTALL)
_FENCED = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
_NO_PROSE = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", re.DOTALL)


def _prose():
    return _NO_PROSE.sub("", _WRITTEN.sub("", TEXT))


def test_no_figure_is_written_by_hand():
    kernels = re.findall(r"^\| \S+ \| (\d+\.\d+)", (ROOT / "docs/kernels.md").read_text(), re.M)
    in_order = sorted(kernels, key=lambda release: tuple(map(int, release.split("."))))
    assert f"from {in_order[0]} to {in_order[-1]}," in _prose()
    rest = _prose().replace(f"from {in_order[0]} to {in_order[-1]},", "")
    rest = re.sub(r"^\| (\d|128 \+ N) \|", "", rest, flags=re.MULTILINE)
    # What remains are "never 0", "not shown as 0" and the names of licences.
    assert set(re.findall(r"\b\d[\d.]*\d|\b\d", rest)) <= {"0", "2.0"}


def test_the_exit_statuses_are_those_of_the_errors():
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", TEXT, re.MULTILINE)}
    classes = [errors.UmtraceError, *errors.UmtraceError.__subclasses__()]
    codes = {found.exit_code for found in classes if found is not errors.StoppedError}
    assert listed == {0, *codes}


def test_each_command_is_listed_as_its_help_says_it():
    rows = re.findall(r"^\| `umtrace (\S+?)[ `].*\| ([^|]*) \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == list(COMMANDS)


def test_the_filters_are_listed():
    @click.command()
    @filter_options
    def command(row_filter):
        del row_filter

    options = " ".join(option.opts[0] for option in command.params)
    assert options in " ".join(TEXT.split())


_TYPED = [line for block in _FENCED.findall(TEXT) for line in block.splitlines()]


@pytest.mark.parametrize("line", [line for line in _TYPED if line.startswith("umtrace ")])
def test_the_commands_parse(line):
    name, *arguments = line.partition("#")[0].partition(" -- ")[0].split()[1:]
    command = umtrace.get_command(click.Context(umtrace), name)
    command.make_context(name, arguments)


def test_a_figure_of_the_costs_is_that_of_the_results():
    rows = {what: (ours, others) for what, ours, others, _ in readme.costs()}
    lab = json.loads((ROOT / "bench/results/lab-6.12.json").read_text())
    fentry = next(row for row in lab["counts"] if row["tool"] == "umtrace record, fentry, full")
    added = fentry["traced"]["stat"]["least_ns"] - fentry["untraced"]["stat"]["least_ns"]
    ours, others = rows["instructions added to a `stat`; lab, Linux 6.12"]
    assert f"`fentry`: {added:,.0f};" in ours
    assert "trace-cmd function_graph" in others
    # Statement 15 of an earlier README left tiers out.
    umount = rows["instructions added to an umount; lab, Linux 6.12"][0]
    for tier in ("fentry", "kprobe", "ftrace", "tracepoint"):
        assert f"`{tier}`: " in umount


def test_what_comes_before_the_first_table_is_about_a_screen():
    assert TEXT.partition("\n| ")[0].count("\n") <= 80
