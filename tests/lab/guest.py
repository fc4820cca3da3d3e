"""A command in a guest of the lab, for tests."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest


def in_guests(kernels, command, out, *, timeout_s):
    """Run a shell command on each kernel, two at a time; return how they ended, with the output."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed: make lab-deps, as root")
    options = ["--kernels", ",".join(kernels), "--jobs", "2", "--timeout", str(timeout_s)]
    return subprocess.run(
        [sys.executable, "-m", "lab", "run-all", *options, "--out", out, "--", command],
        check=False,
        capture_output=True,
        text=True,
    )


def in_guest(kernel, command, *, timeout_s=900, out=None, options=()):
    """Run a shell command on a kernel; return how it ended, with what it printed."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed: make lab-deps, as root")
    options = ["--timeout", str(timeout_s), *(["--out", out] if out else []), *options]
    return subprocess.run(
        [sys.executable, "-m", "lab", "run", kernel, *options, "--", command],
        check=False,
        capture_output=True,
        text=True,
    )


def end_of(done):
    """The end of both outputs, for the message of a failed assertion."""
    return done.stdout[-6000:] + done.stderr[-6000:]
