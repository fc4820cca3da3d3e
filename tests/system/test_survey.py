"""`umtrace survey` on this kernel, and what it makes of wrong options."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.system.umtrace_command import COMMAND, umtrace

_UMOUNTS = re.compile(
    r"(\d+): (\d+) sync, (\d+) lazy, (\d+) namespace end, (\d+) other, (\d+) failed"
)

pytestmark = pytest.mark.kernel


def test_it_counts_the_umounts_of_a_known_workload(tmp_path):
    survey = subprocess.Popen(
        [*COMMAND, "survey", "--tier", "tracepoint"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "tracing for 60 s" in survey.stderr.readline()
    done = umtrace("exercise", "--sync", 23, "--lazy", 11, "--busy", 7)
    assert done.returncode == 0, done.stderr
    survey.send_signal(2)
    out, err = survey.communicate(timeout=60)
    assert survey.returncode == 0, err
    found = _UMOUNTS.search(" ".join(out.split()))
    total, sync, lazy, namespaces, other, failed = map(int, found.groups())
    assert total == sync + lazy + namespaces + other + failed
    # Others unmount here as well: at least what the exercise did.
    assert sync >= 23
    assert lazy >= 11
    assert failed >= 7
    assert "not seen in this tier" in out, "n_held in a tier that cannot know it"
    assert str(tmp_path) not in out
    again = umtrace("survey", "--merge", "-", input=out)
    assert again.returncode == 0, again.stderr
    assert f" {total} " in again.stdout


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["somefile"], "--merge"),
        (["--merge"], "needs the files"),
        (["--merge", "--replay", "x", "y"], "give one of them"),
        (["--merge", "/nowhere/at/all"], "o such file"),
        (["--merge", "/proc/self/status"], "no survey in it"),
    ],
)
def test_wrong_options_are_one_line(args, complaint):
    done = umtrace("survey", *args)
    assert done.returncode != 0
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
