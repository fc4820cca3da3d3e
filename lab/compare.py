"""The same load recorded on two kernels, and what differs between the recordings."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lab import boot, host, project
from lab.errors import LabError
from lab.job import shell_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.job import Job
    from lab.ready import Ready

#: Without chance and without a clock in it: the same operations in the same order.
LOAD = "umtrace exercise --sync 200 --lazy 200 --propagate 20 --ns-exit 5"
INSIDE = "recording.umt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two kernels.

    Attributes
    ----------
    letter : str
        What `umtrace diff` calls it: A or B.
    ready : Ready
        The kernel.
    folder : Path
        Where its recording and what its guest left are put.
    """

    letter: str
    ready: Ready
    folder: Path

    @property
    def recording(self) -> Path:
        """Its recording."""
        return self.folder / INSIDE


def sides(kernels: Sequence[Ready], out: Path) -> list[Side]:
    """Return the two sides below the new folder `out`, named by letter and kernel.

    Raises
    ------
    LabError
        Where something of that name is there.
    """
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise LabError(f"cannot make {out}: {error.strerror}; name another with --out") from error
    return [
        Side(letter=letter, ready=ready, folder=out / f"{letter}-{ready.name}")
        for letter, ready in zip("AB", kernels, strict=True)
    ]


def recording_line(command: tuple[str, ...], tier: str) -> str:
    """Return the shell line for a guest that records the umounts of a command."""
    load = shlex.quote(shell_line(command or (LOAD,)))
    return f'umtrace record --tier {shlex.quote(tier)} -o "$LAB_OUT/{INSIDE}" -- bash -c {load}'


def record(side: Side, job: Job, command: tuple[str, ...], tier: str) -> None:
    """Boot one kernel and bring its recording back; the guest's output goes to stderr.

    Raises
    ------
    LabError
        Where the guest or its command failed, or no recording came back.
    """
    name = f"{side.letter}, {side.ready.kernel.release}"
    line = recording_line(command, tier)
    host.say(f"{name}: booting, then {line}")
    shown = sys.stderr.buffer
    job = replace(job, command=(line,))
    outcome = boot.run(side.ready, job, out=side.folder, stdout=shown, stderr=shown)
    (side.folder / "console.log").write_text(outcome.console, encoding="utf-8")
    if outcome.status:
        why = outcome.trouble or f"the command ended with status {outcome.status}"
        raise LabError(f"{name}: {why}; its console is in {side.folder}/console.log")
    if not side.recording.is_dir():
        raise LabError(f"{name}: the guest left no recording in {side.folder}")
    host.say(f"{name}: recorded in {side.recording}, {outcome.seconds:.0f} s with the boot")


def show(pair: Sequence[Side]) -> int:
    """Print `umtrace diff` of the two recordings; return its exit status."""
    a, b = (side.recording.resolve() for side in pair)
    command = [sys.executable, "-m", "umtrace", "diff", str(a), str(b)]
    status = subprocess.run(command, cwd=project.ROOT, check=False).returncode
    host.say("times in guests vary with the host's load: compare a kernel with itself, too")
    return status
