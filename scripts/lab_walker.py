"""A walker in C, built on this host, and a command that has it in a guest of the lab."""

from __future__ import annotations

import base64
import gzip
import shlex
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("walker.c")
GUEST = "/tmp/walker"  # noqa: S108 - of a guest that nobody else is in


def built(target: Path) -> Path:
    """Compile it without a libc, so that it runs in any guest."""
    flags = ["-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"]
    subprocess.run(["cc", *flags, "-o", target, SOURCE], check=True)
    return target


def in_lab(kernel: str, walker: Path, command: str, *options: str) -> int:
    """Run a shell command that finds the walker at GUEST; return its exit status."""
    packed = base64.b64encode(gzip.compress(walker.read_bytes())).decode()
    unpack = f"echo {shlex.quote(packed)} | base64 -d | gunzip > {GUEST}; chmod +x {GUEST}"
    run = [sys.executable, "-m", "lab", "run", kernel, *options]
    return subprocess.run([*run, "--", f"{unpack}; {command}"], check=False).returncode
