"""Two kernels beside each other: what is asked of the guests, and what is refused."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from lab import compare
from lab.cli import main
from lab.errors import LabError


def kernels(*names):
    return [SimpleNamespace(name=name) for name in names]


@pytest.mark.parametrize(
    ("command", "run"),
    [
        (("echo 'a b'; exit 3",), "echo 'a b'; exit 3"),
        (("echo", "a b"), "echo 'a b'"),
        ((), compare.LOAD),
    ],
)
def test_the_command_is_recorded_as_one_shell_line(command, run):
    words = shlex.split(compare.recording_line(command, "kprobe"))
    assert words == [
        *("umtrace", "record", "--tier", "kprobe", "-o", "$LAB_OUT/recording.umt"),
        *("--", "bash", "-c", run),
    ]


def test_a_kernel_beside_itself_has_two_folders(tmp_path):
    a, b = compare.sides(kernels("6.12", "6.12"), tmp_path / "new")
    assert (a.recording, b.recording) == (
        tmp_path / "new/A-6.12/recording.umt",
        tmp_path / "new/B-6.12/recording.umt",
    )


def test_results_that_are_there_stay(tmp_path):
    with pytest.raises(LabError, match=r"cannot make .*: File exists; name another with --out"):
        compare.sides(kernels("6.12", "7"), tmp_path)


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["6.12", "nosuch"], 1, "lab: error: no kernel named 'nosuch'; there are: 5.10,"),
        (["6.12", "/no/such/tree"], 1, "lab: error: /no/such/tree does not exist: name the"),
        (["6.12"], 2, "Error: Missing argument 'KERNEL-B'."),
        (["--tier", "best", "6.12", "7"], 2, "Error: Invalid value for '--tier': 'best' is not"),
    ],
)
def test_misuse_is_one_line(words, status, line):
    done = CliRunner().invoke(main, ["compare", *words])
    assert done.exit_code == status
    (said,) = [text for text in done.stderr.splitlines() if "rror: " in text]
    assert said.startswith(line)
