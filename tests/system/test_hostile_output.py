"""`record` beside hostile users: an output directory of theirs, or one that they swap."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.system.umtrace_command import COMMAND, start_recording, umtrace
from umtrace.recording import Recording

pytestmark = pytest.mark.kernel
NOBODY = 65534


def test_the_empty_directory_of_another_user(tmp_path):
    path = tmp_path / "r"
    path.mkdir()
    path.chmod(0o777)
    os.chown(path, NOBODY, NOBODY)
    done = umtrace("record", "--tier", "tracepoint", "-d", 0, "-o", path)
    assert done.returncode == 3
    assert done.stderr == (
        f"umtrace: {path}: belongs to user id {NOBODY}, who could change the recording; "
        "choose a directory that is not there yet\n"
    )
    assert not list(path.iterdir())


COUNTED = re.compile(r"; ([\d,]+) umounts? recorded in it, ([\d,]+) lost$", re.MULTILINE)
UMOUNTS = 5


@pytest.mark.parametrize("instead", ["symlink", "nothing", "removed"])
def test_a_directory_that_is_swapped_while_recording(tmp_path, instead):
    above, victim = tmp_path / "above", tmp_path / "victim"
    victim.mkdir()
    above.mkdir()
    os.chown(above, NOBODY, NOBODY)
    process = start_recording(above / "r", "--tier", "tracepoint")
    assert umtrace("exercise", "--sync", UMOUNTS).returncode == 0
    swap = {
        "symlink": f"mv {above}/r {above}/moved && ln -s {victim} {above}/r",
        "nothing": f"mv {above}/r {above}/moved",
        "removed": f"rm -rf {above}/r",
    }[instead]
    subprocess.run(["sh", "-c", swap], check=True)  # as who owns the directory above could
    _out, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(said.splitlines()) == 1, said
    word = "was removed" if instead == "removed" else f"the recording is {above}/moved"
    assert said.startswith(f"umtrace: {above}/r: ")
    assert word in said
    assert not list(victim.iterdir())
    kept, lost = map(int, COUNTED.search(said).groups())
    assert kept + lost >= UMOUNTS
    if instead == "removed":
        assert kept == 0
    else:
        left = Recording.open(above / "moved")
        assert not left.is_open
        assert kept == left.umounts().num_rows


def test_a_file_system_that_is_unmounted_while_recording(tmp_path):
    above, again = tmp_path / "above", tmp_path / "again"
    above.mkdir()
    again.mkdir()
    for words in (["mount", "-t", "tmpfs", "t", above], ["mount", "--bind", above, again]):
        subprocess.run(words, check=True)
    try:
        process = start_recording(above / "r", "--tier", "tracepoint")
        assert umtrace("exercise", "--sync", UMOUNTS).returncode == 0
        subprocess.run(["umount", "-l", above], check=True)
        _out, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert f"{above}/r: was unmounted or moved out of sight while" in said
        kept, lost = map(int, COUNTED.search(said).groups())
        assert kept + lost > UMOUNTS  # the last one is that of its own file system
        assert kept == Recording.open(again / "r").umounts().num_rows
    finally:
        subprocess.run(["umount", again], check=True)


def test_default_names_that_others_took(tmp_path):
    """The name is that of a second: whoever wants to takes the next hundred."""
    code = (
        "import os, time\n"
        "for n in range(120):\n"
        " os.mkdir(time.strftime('umtrace-%Y%m%d-%H%M%SZ.umt', time.gmtime(time.time() + n)))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    words = [*COMMAND, "record", "--tier", "tracepoint", "-d", "0"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("*-2.umt")
    assert not Recording.open(made).is_open
