"""Without the extras: no pandas, matplotlib or jinja2 in a virtual environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "recordings" / "lab-ebusy.umt"
EXTRAS = ("pandas", "matplotlib", "jinja2", "markupsafe", "mpl_toolkits", "pylab")


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """The python of an environment that has what this one has, but for the extras."""
    folder = tmp_path_factory.mktemp("poor")
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", folder]
    subprocess.run(command, check=True)
    there = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    places = {Path(sysconfig.get_path("purelib"))}
    places |= {Path(path) for path in sys.path if path.endswith("site-packages")}
    for place in places:
        for found in place.iterdir():
            target = Path(there.strip(), found.name)
            name = found.name.partition(".")[0].partition("-")[0].lower()
            if name not in EXTRAS and found.suffix != ".pth" and not target.exists():
                target.symlink_to(found)
    Path(there.strip(), "umtrace-checkout.pth").write_text(f"{ROOT}\n")
    for name in ("pandas", "matplotlib", "jinja2"):
        probe = [python, "-c", f"import {name}"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            pytest.skip(f"the system's own python has {name}")
    return python


def run(poor, *words, status=0):
    command = [poor, "-P" if sys.version_info >= (3, 11) else "-B", "-m", "umtrace", *words]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    "words",
    [
        ("report", RECORDING),
        ("report", "--format", "json", RECORDING),
        ("report", "--format", "markdown", RECORDING),
        ("ebusy", RECORDING),
        ("hist", RECORDING),
        ("trace", "--replay", RECORDING),
        ("diff", RECORDING, RECORDING),
        ("--help",),
    ],
    ids=lambda words: " ".join(Path(word).name for word in words),
)
def test_what_needs_no_extra_runs(poor, words):
    assert run(poor, *words).stdout


def test_why_and_doctor_run(poor):
    said = run(poor, "doctor", status=0 if os.geteuid() == 0 else 3)
    assert "tracepoint" in said.stdout
    done = subprocess.run(
        [poor, "-m", "umtrace", "why", "/"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "root directory" in done.stdout, done.stderr


@pytest.mark.kernel
def test_record_runs(poor, tmp_path):
    run(poor, "record", "-q", "-o", tmp_path / "r.umt", "--", "true")
    assert "losses: " in run(poor, "report", tmp_path / "r.umt").stdout


@pytest.mark.parametrize("words", [("html", "-o", "-"), ("plot", "--kind", "cdf", "-o", "x.svg")])
def test_what_needs_one_says_which(poor, words):
    said = run(poor, words[0], RECORDING, *words[1:], status=1).stderr
    assert said.count("\n") == 1
    assert "not installed: pip install 'umtrace[report]'" in said


def test_the_python_interface_says_which(poor):
    done = subprocess.run(
        [poor, "-c", "import umtrace; umtrace.load('recordings/lab-ebusy.umt').umounts"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "ImportError: this needs pandas, which is not installed: pip install 'umtrace[report]'"
    )
