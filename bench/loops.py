"""The loops in C that a tracer slows down: compiled here, run anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).with_name("loops.c")
#: set where there is no compiler: a program that was made before
READY_MADE = "UMTRACE_BENCH_LOOPS"
WALKS = ("stat", "open")


def build(folder: Path) -> Path:
    """Return the program, linked statically so that it runs in the lab's guests too."""
    program = folder / "loops"
    subprocess.run(["cc", "-O2", "-static", "-o", program, _SOURCE], check=True)
    return program


class Loops:
    """The program and a place to work in: a file six folders deep, and a mount point."""

    def __init__(self, folder: Path) -> None:
        made = os.environ.get(READY_MADE)
        self._program = Path(made) if made else build(folder)
        self.place = folder / "place"
        self.place.mkdir()
        deep = folder.joinpath(*"abcdef")
        deep.mkdir(parents=True)
        self._file = deep / "file"
        self._file.touch()

    def run(self, loop: str, count: int) -> dict[str, Any]:
        """Run a loop, such as ``stat``, ``umount`` or ``copy-M``; times in ns."""
        return self._run(loop, str(count), str(self._file if loop in WALKS else self.place))

    def churn(self, tasks: int, count: int) -> dict[str, Any]:
        """Let ``tasks`` tasks at once mount and unmount ``count`` times each."""
        return self._run("churn", str(tasks), str(count), str(self.place))

    def _run(self, *words: str) -> dict[str, Any]:
        done = subprocess.run([self._program, *words], check=True, capture_output=True, text=True)
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a short-named directory: tools cut long paths."""
    return tempfile.TemporaryDirectory(prefix="umb-")
