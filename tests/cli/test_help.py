"""The help of each command: the one line, the options, the defaults, and examples that work."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from umtrace.cli.first_page import all_commands, first_page
from umtrace.cli.group import COMMANDS
from umtrace.cli.main import umtrace

_TOP = Path(__file__).parents[2]
_TRACES = _TOP / "tests" / "sources" / "ftrace" / "fixtures" / "trace-cmd-6.12.zip"
#: what runs programs of the kernel, or unmounts: their examples are parsed here, not run
_NEED_ROOT = {"doctor", "record", "trace", "why", "stuck", "survey", "exercise", "selftest"}
_WORDS = re.compile(r"\b(told|tells?|in vain|lets? go|looks?|whose|so long)\b", re.IGNORECASE)


def _command(name):
    context = click.Context(umtrace, info_name="umtrace")
    return umtrace.get_command(context, name)


def _context(command, name):
    return click.Context(command, info_name=name, **command.context_settings)


def _examples(name):
    command = _command(name)
    return re.findall(r"^ *(umtrace .*)$", command.epilog or "", re.MULTILINE)


def _calls(line):
    """Return the commands of umtrace in a line of shell, one after `--` too, as arguments."""
    words = shlex.shlex(line, posix=True, punctuation_chars=";&|>")
    words.whitespace_split = True
    calls, call = [], []
    for word in [*words, ";"]:
        if word == "--" or set(word) <= set(";&|>"):
            calls.append(call)
            call = []
        else:
            call.append(word)
    return [call[1:] for call in calls if call[:1] == ["umtrace"]]


_ALL = [(name, line) for name in COMMANDS for line in _examples(name)]
_OF_RECORDINGS = [line for name, line in _ALL if name not in _NEED_ROOT or "--replay" in line]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example(name):
    assert _examples(name)


@pytest.mark.parametrize(("name", "line"), _ALL)
def test_examples_parse(name, line):
    calls = _calls(line)
    assert name in {command for command, *_ in calls}
    for command, *arguments in calls:
        # Raises for an unknown option, a bad value and an argument too many.
        _command(command).make_context(command, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the examples name, and a command `umtrace`."""
    path = tmp_path_factory.mktemp("examples")
    for name, bundled in (("rec", "first-look"), ("before", "first-look"), ("after", "storm")):
        shutil.copytree(_TOP / "recordings" / f"{bundled}.umt", path / f"{name}.umt")
    with zipfile.ZipFile(_TRACES) as archive:
        first = next(name for name in archive.namelist() if name.endswith(".txt"))
        (path / "trace.dat").write_bytes(archive.read(first))
    programs = path / "bin"
    programs.mkdir()
    program = programs / "umtrace"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m umtrace "$@"\n')
    program.chmod(0o755)
    return path


@pytest.mark.parametrize("line", _OF_RECORDINGS)
def test_examples_work(folder, line):
    line = line.replace("-o ", "-f -o ") if " import " in line else line
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(_TOP), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout or run.stderr or "-o" in line


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command_fits_on_one(name):
    assert len(f"  {name:<8}  {COMMANDS[name]}") <= 80
    assert COMMANDS[name].endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_options_show_their_defaults(name):
    command = _command(name)
    context = _context(command, name)
    for option in command.params:
        if isinstance(option, click.Argument) or option.is_flag or option.multiple or option.hidden:
            continue
        _, text = option.get_help_record(context)
        if isinstance(option.default, str | int | float):
            assert "default: " in text, option.name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_plain_words(name):
    command = _command(name)
    text = command.get_help(_context(command, name))
    assert not _WORDS.findall(COMMANDS[name] + text)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_two_parameters_have_one_name(name):
    names = [parameter.name for parameter in _command(name).params]
    assert sorted(names) == sorted(set(names))


def test_the_help_has_the_line_of_each_command_on_one_screen():
    lines = all_commands(COMMANDS).splitlines()
    assert len(lines) <= 23  # the 24th has the prompt
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:-1]] == list(COMMANDS)
    assert [line.split(None, 1)[1] for line in lines[1:-1]] == list(COMMANDS.values())
    assert not _WORDS.findall("\n".join(lines))
    done = CliRunner().invoke(umtrace, ["--help"])
    assert done.stdout.splitlines() == lines


def test_umtrace_alone_names_each_command_on_one_screen():
    lines = first_page(COMMANDS).splitlines()
    assert len(lines) <= 23  # the 24th has the prompt
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert all(len(re.findall(rf"\b{name}\b[ ,\n]", text + "\n")) >= 1 for name in COMMANDS)
    described = [line.split()[0] for line in lines if line[2:].split("  ")[0] in COMMANDS]
    assert described == [name for name in COMMANDS if name in described]
