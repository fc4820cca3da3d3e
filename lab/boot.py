"""Run one guest and say how it ended."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lab import compiler, host, qemu, stuck
from lab.errors import LabError
from lab.job import initramfs, write_tar
from lab.qemu import Disk, Machine

if TYPE_CHECKING:
    from lab.job import Job
    from lab.ready import Ready

NO_STATUS = 200
STATUS = re.compile(r"^LABRC (\d{1,3})$", re.MULTILINE)
OUT_BYTES = 1 << 30
CONSOLE_TAIL_LINES = 60
CHUNK = 1 << 16

_running: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: the command's exit status, or why there is none."""

    status: int
    seconds: float
    console: str
    trouble: str = ""

    @property
    def console_tail(self) -> str:
        """The last lines the kernel wrote."""
        lines = self.console.splitlines()[-CONSOLE_TAIL_LINES:]
        return "\n".join(lines) or "(nothing)"


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the emulator ended, and how many bytes of output the guest had before."""

    timed_out: bool = False
    aborted: bool = False
    n_bytes: int = 0


def parse_status(report: str) -> int | None:
    """Return the exit status the guest reported, None when it never came so far."""
    match = STATUS.search(report)
    return int(match[1]) if match else None


def run(
    ready: Ready, job: Job, *, out: Path | None, stdout: IO[bytes], stderr: IO[bytes]
) -> Outcome:
    """Boot the guest, pass its output on as it comes, bring its files back.

    It is booted once more where the emulator aborted before the guest had any output.
    """
    outcome = _run_once(ready, job, out=out, stdout=stdout, stderr=stderr)
    if outcome is None:
        # QEMU 10, with several emulating threads: "iotlb_to_section: Assertion `section_index <
        # d->map.sections_nb' failed", once in some hundred boots.
        host.say(f"{ready.name}: the emulator aborted before the guest began: once more")
        outcome = _run_once(ready, job, out=out, stdout=stdout, stderr=stderr)
    return outcome or Outcome(
        status=NO_STATUS, seconds=0.0, console="", trouble="the emulator aborted twice"
    )


def _run_once(
    ready: Ready, job: Job, *, out: Path | None, stdout: IO[bytes], stderr: IO[bytes]
) -> Outcome | None:
    """Return how the guest ended; None where the emulator aborted and there was no guest."""
    with tempfile.TemporaryDirectory(prefix="umtrace-lab-") as name:
        folder = Path(name)
        machine = _prepare(folder, ready, job)
        started = time.monotonic()
        if job.interactive:
            ended = _terminal(machine, job)
        else:
            with compiler.Server(folder / compiler.SOCKET, ready.programs):
                ended = _piped(machine, job, stdout, stderr, folder)
        seconds = time.monotonic() - started
        if ended.aborted and not ended.n_bytes and not _text(folder / "console"):
            return None
        _bring_back(folder, out)
        return _outcome(folder, seconds, job.timeout_seconds if ended.timed_out else None)


def stop_all() -> None:
    """Kill every guest of this process; their runs end without an exit status."""
    for process in tuple(_running):
        process.kill()


def _prepare(folder: Path, ready: Ready, job: Job) -> Machine:
    (folder / "initrd").write_bytes(initramfs(ready.kernel, ready.busybox))
    terminal = shutil.get_terminal_size()
    write_tar(folder / "job.tar", job, ready.name, terminal)
    with (folder / "out.raw").open("wb") as file:
        file.truncate(OUT_BYTES)
    disks = [
        Disk(serial="lab-root", path=ready.userland),
        Disk(serial="lab-job", path=folder / "job.tar"),
        Disk(serial="lab-modules", path=ready.kernel.modules),
        Disk(serial="lab-out", path=folder / "out.raw", writable=True),
    ]
    if job.disk is not None:
        disks.append(Disk(serial="lab-own", path=job.disk, writable=True))
    if ready.venv is not None:
        disks.append(Disk(serial="lab-venv", path=ready.venv))
    return Machine(
        emulator=ready.emulator,
        kernel=ready.kernel.image,
        initrd=folder / "initrd",
        console=None if job.interactive else folder / "console",
        disks=tuple(disks),
        status=folder / "status",
        params=ready.params,
    )


def _terminal(machine: Machine, job: Job) -> _Ended:
    subprocess.run(_command(machine, job, {}), check=False)
    return _Ended()


def _piped(
    machine: Machine, job: Job, stdout: IO[bytes], stderr: IO[bytes], folder: Path
) -> _Ended:
    """Run the emulator with the guest's two outputs on pipes."""
    pipes = {"lab.stdout": os.pipe(), "lab.stderr": os.pipe()}
    ports = {name: f"/dev/fd/{write}" for name, (_, write) in pipes.items()}
    writers = [write for _, write in pipes.values()]
    process = subprocess.Popen(
        _command(machine, job, ports), stdin=subprocess.DEVNULL, stdout=2, pass_fds=writers
    )
    for write in writers:
        os.close(write)
    targets = zip((read for read, _ in pipes.values()), (stdout, stderr), strict=True)
    passed_on: list[int] = []
    relays = [threading.Thread(target=_relay, args=(*pair, passed_on)) for pair in targets]
    for relay in relays:
        relay.start()
    _running.add(process)
    try:
        process.wait(job.timeout_seconds)
    except subprocess.TimeoutExpired:
        stuck.ask(folder)
        return _Ended(timed_out=True)
    finally:
        process.kill()
        process.wait()
        _running.discard(process)
        for relay in relays:
            relay.join()
    return _Ended(aborted=process.returncode == -signal.SIGABRT, n_bytes=sum(passed_on))


def _command(machine: Machine, job: Job, ports: dict[str, str]) -> list[str]:
    line = qemu.command_line(machine, job, ports)
    # The guest dies with this process, however that ends.
    return [host.find("setpriv"), "--pdeathsig", "KILL", host.find(line[0]), *line[1:]]


def _relay(source: int, target: IO[bytes], passed_on: list[int]) -> None:
    with os.fdopen(source, "rb", buffering=0) as pipe:
        while chunk := pipe.read(CHUNK):
            passed_on.append(len(chunk))
            # When the reader went away, the guest still runs to its end.
            with suppress(OSError, ValueError):
                target.write(chunk)
                target.flush()


def _bring_back(folder: Path, out: Path | None) -> None:
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    try:
        host.run(["tar", "-xf", folder / "out.raw", "-C", out, "--no-same-owner"])
    except LabError as error:  # a guest that died while it was writing
        host.say(f"the files in {out} are not complete: {error}")


def _outcome(folder: Path, seconds: float, limit: float | None) -> Outcome:
    console = _text(folder / "console")
    status = parse_status(_text(folder / "status"))
    if limit is not None:
        status, trouble = NO_STATUS, f"killed after {limit:g} s"
    elif status is None:
        status, trouble = NO_STATUS, "the guest ended without an exit status"
    else:
        trouble = ""
    return Outcome(status=status, seconds=seconds, console=console, trouble=trouble)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
