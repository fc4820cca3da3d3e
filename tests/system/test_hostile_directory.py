"""Nothing is taken from the working directory: others may write there, and root compiles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing

import pytest

from tests.system import hostile
from umtrace.sources.bpf.program_cache import VARIABLE

pytestmark = pytest.mark.kernel

#: Python itself imports these before it starts a module given to -m, wherever they come from.
BEFORE_US = """
import runpy, sys
print(*sorted({name.split(".")[0] for name in sys.modules} | {"__future__"}))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a working directory of an attacker, and a folder of ours beside it."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "umtrace-script").write_text(hostile.SCRIPT)
    return folder


def run(place, *words, entry=None, environment=None, codes=(0,)):
    """Run umtrace there; returns what it wrote. Fails if any file there was opened."""
    entry = entry or [sys.executable, str(place.parent / "umtrace-script")]
    with closing(hostile.Opened(place)) as opened:
        done = subprocess.run(
            [*entry, *map(str, words)],
            cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert opened.names() == []
    assert done.returncode in codes, done.stderr
    return done.stdout


def plan(recording):
    """Return where a recording's programs came from."""
    steps = json.loads((recording / "meta.json").read_text())["plan"]
    return next(step["how"] for step in steps if step["meaning"] == "programs")


def test_the_bait_would_be_taken(place):
    """What the other tests look out for is seen: a compiler that searches there fails."""
    hostile.fill(place)
    with closing(hostile.Opened(place)) as opened:
        text = '#include "event.h"\n#include <linux/types.h>\n'
        words = ["cc", "-I.", "-E", "-x", "c", "-"]
        subprocess.run(words, cwd=place, input=text, text=True, check=False, capture_output=True)
        assert {"event.h", "types.h"} <= {*opened.names()}
        done = subprocess.run([sys.executable, "-c", "import json"], cwd=place, check=False)
        assert done.returncode == 99


@pytest.mark.parametrize("tier", ["tracepoint", "auto"])
def test_record_and_what_it_keeps(place, tmp_path, tier):
    hostile.fill(place)
    for name, how in (("cold", "compiled now"), ("warm", "kept")):
        path = tmp_path / name
        run(place, "record", "--tier", tier, "-d", 0, "-o", path)
        assert plan(path) == how


def test_programs_are_the_same_wherever_one_stands(place, tmp_path, monkeypatch):
    hostile.fill(place)
    run(place, "record", "--tier", "tracepoint", "-d", 0, "-o", tmp_path / "r")
    (there,) = (tmp_path / "cache").glob("*.compiled")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache2"))
    words = [sys.executable, "-m", "umtrace", "record", "--tier", "tracepoint", "-d", "0", "-o"]
    assert subprocess.run([*words, tmp_path / "s"], check=False).returncode == 0
    (here,) = (tmp_path / "cache2").glob("*.compiled")
    assert here.name == there.name
    programs = [json.loads(f.read_bytes().split(b"\n", 1)[1])["programs"] for f in (here, there)]
    assert programs[0] == programs[1]


def test_variables_lead_the_compiler_nowhere(place, tmp_path):
    hostile.fill(place)
    words = ("record", "--tier", "tracepoint", "-d", 0, "-o")
    run(place, *words, tmp_path / "r", environment=hostile.environment(place))
    assert plan(tmp_path / "r") == "compiled now"
    run(place, *words, tmp_path / "s")
    assert plan(tmp_path / "s") == "kept"


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "--tier", "tracepoint", "-d", "0"),
        ("doctor",),
        ("selftest", "--tier", "tracepoint"),
        ("exercise", "--sync", "2", "--busy", "1"),
        ("why", "/proc"),
        ("--help",),
    ],
    ids=lambda words: words[0],
)
def test_other_commands(place, words):
    hostile.fill(place)
    run(place, *words, codes=range(15) if "why" in words else (0,))


@pytest.mark.parametrize(
    "words",
    [
        ("report", "{}"),
        ("ebusy", "{}"),
        ("trace", "--replay", "{}"),
        ("export", "{}", "-o", "{out}"),
        ("html", "{}", "-o", "{out}"),
        ("plot", "{}", "-o", "{out}.png"),
        ("repair", "{}"),
    ],
    ids=lambda words: words[0],
)
def test_readers(place, tmp_path, words):
    """A matplotlibrc of the working directory, and of a HOME that sudo left, is none of ours."""
    hostile.fill(place)
    shutil.copytree("recordings/lab-ebusy.umt", tmp_path / "r")
    names = [word.format(tmp_path / "r", out=tmp_path / "out") for word in words]
    home = {**os.environ, "HOME": str(place), "XDG_CONFIG_HOME": str(place), "XDG_CACHE_HOME": ""}
    home.pop("MPLCONFIGDIR", None)
    before = sorted(place.rglob("*"))
    run(place, *names, environment=home)
    assert sorted(place.rglob("*")) == before


def test_python_m(place, tmp_path):
    """Python searches the working directory for the package; umtrace does for nothing else."""
    loaded = subprocess.run(
        [sys.executable, "-c", BEFORE_US], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    hostile.fill(place, without=loaded.stdout.split())
    entry = [sys.executable, "-m", "umtrace"]
    run(place, "record", "--tier", "tracepoint", "-d", 0, "-o", tmp_path / "r", entry=entry)
    run(place, "selftest", "--tier", "tracepoint", entry=entry)
