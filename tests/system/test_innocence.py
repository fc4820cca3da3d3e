"""Nothing that others do to mounts and devices fails because umtrace runs beside it.

A loop mounts, unmounts, makes file systems, claims a loop device and detaches it: first alone, then
beside each surface. A call that fails beside umtrace only is a failure of umtrace. Meanwhile all
that the processes of umtrace keep is sampled.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from tests.system.disturbed_loop import EXPECTED, TMPFS_ROUNDS
from tests.system.pins import Sampler
from tests.system.umtrace_command import COMMAND, umtrace
from tests.working_tiers import works
from umtrace.exercise import syscalls
from umtrace.model.tiers import names, tier_named

pytestmark = pytest.mark.kernel
#: how much longer an emulated host needs for as many rounds: tests/lab/test_innocence.py
SLOWER = float(os.environ.get("UMTRACE_TEST_SLOWER", "1"))
ALONE_S, TRACED_S, WHY_S = 1 * SLOWER, 2 * SLOWER, 3 * SLOWER
TO_START_S = 60 * SLOWER
ENOUGH_S = 60 * SLOWER  # on a busy host
FEWEST_ROUNDS = 100
ANSWERS = {0, *range(10, 15)}
#: `why` opens each attached loop device for a moment, and `losetup -d` then waits: docs/why.md
PRICE_OF_WHY = {("status after losetup -d", 0)}


@dataclass
class Beside:
    """The loop while it runs; ``results`` has what its calls returned when it has ended."""

    process: subprocess.Popen
    mnt: str
    kept: str
    node: str
    results: dict

    @property
    def rounds(self):
        """How often the loop has gone round so far."""
        count = Path(self.mnt).parent / "rounds"
        return int(count.read_text() or 0) if count.exists() else 0

    def enter(self):
        """Move this task into the mount namespace of the loop."""
        fd = os.open(f"/proc/{self.process.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.enter_mounts(fd)
        os.close(fd)

    def unexpected(self):
        """Return each call that did not return what it should, with its errno."""
        return {
            (step, int(number)): times
            for step, found in self.results["counts"].items()
            for number, times in found.items()
            if int(number) != EXPECTED.get(step, 0)
        }


@contextmanager
def loop_running(room):
    room.mkdir()
    command = [sys.executable, "-m", "tests.system.disturbed_loop", str(room)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        begun = json.loads(process.stdout.readline())
        paths = {"mnt": f"{room}/mnt", "kept": f"{room}/kept"}
        beside = Beside(process, **paths, **begun, results={})
        try:
            yield beside
        finally:
            process.stdin.close()
            beside.results |= json.loads(process.stdout.readline())
    assert process.returncode == 0


@pytest.fixture(scope="module", autouse=True)
def _programs():
    if not shutil.which("mke2fs"):
        pytest.skip("mke2fs is needed: apt-get install e2fsprogs")
    if not Path("/dev/loop-control").exists():
        pytest.skip("this kernel has no loop devices: modprobe loop")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, _programs):
    """What fails with nobody beside the loop."""
    with loop_running(tmp_path_factory.mktemp("innocence") / "alone") as loop:
        time.sleep(ALONE_S)
    assert loop.results["counts"]["umount of a busy ext4"]
    return set(loop.unexpected())


def kept(sampler, loop):
    """Return what the command had of the mounts and of the device of the loop."""
    mounts, rdev = {tuple(each) for each in loop.results["mounts"]}, loop.results["rdev"]
    return {
        pin
        for pin in sampler.pins
        if pin.place[:2] in mounts
        or pin.place.rdev == rdev
        or pin.text.startswith((loop.mnt, loop.kept, loop.node))
    }


def namespaces(pid):
    """Return the namespaces of a process, as their links in /proc have them."""
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/ns").iterdir()}


def tracing_until(process, sampler, started, enough):
    """Sample a command that traces until it has ended.

    It is stopped TRACED_S after it has started, later where that is not ``enough``.
    """
    stop, limit = [0.0], time.monotonic() + TO_START_S

    def over():
        now = time.monotonic()
        if not stop[0] and (started() or now > limit):
            stop[0] = now + TRACED_S
        elif stop[0] and now > stop[0] and (now > stop[0] + ENOUGH_S or enough()):
            process.send_signal(signal.SIGINT)
            stop[0] = now + ENOUGH_S
        return process.poll() is not None

    sampler.watch(process.pid, over)


def pins_nothing(sampler, loop, foreign):
    """Others of this host may do what makes `record` read their mount tables at its end."""
    assert sampler.rounds >= FEWEST_ROUNDS
    assert len(sampler.seen) > 1, "no child of the command was sampled"
    assert kept(sampler, loop) == set()
    assert (sampler.namespaces | {pin.text for pin in sampler.pins}) & foreign == set()
    assert [text for text in sampler.tables if text.startswith(f"/proc/{loop.process.pid}/")] == []


@pytest.mark.parametrize("tier", names())
def test_record_disturbs_nobody(tmp_path, alone, tier):
    """From another mount namespace."""
    if not works(tier):
        pytest.skip(f"this kernel has no tier {tier}: umtrace doctor says why")
    path, sampler = tmp_path / "r", Sampler()
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    command = [*COMMAND, "record", "-q", "-o", str(path), "--tier", tier]
    with loop_running(tmp_path / "loop") as loop:
        with subprocess.Popen(
            [*command, "--ready-fd", str(write_end)], pass_fds=[write_end], stderr=subprocess.PIPE
        ) as process:
            foreign = namespaces(loop.process.pid) - namespaces("self")
            since = []

            def started():
                if is_ready(read_end):
                    since.append(loop.rounds)
                return bool(since)

            def enough():
                return (loop.rounds - since[0]) * TMPFS_ROUNDS > FEWEST_ROUNDS

            tracing_until(process, sampler, started, enough)
            said = process.stderr.read()
        os.close(read_end)
        os.close(write_end)
    assert process.returncode == 0, said
    rows = map(json.loads, umtrace("export", path, "--to", "jsonl").stdout.splitlines())
    assert sum(row["tid"] == loop.process.pid for row in rows) > FEWEST_ROUNDS
    assert set(loop.unexpected()) - alone == set()
    pins_nothing(sampler, loop, foreign)


def is_ready(fd):
    try:
        return bool(os.read(fd, 64))
    except BlockingIOError:
        return False


@pytest.mark.parametrize("tier", names())
def test_trace_disturbs_nobody(tmp_path, alone, tier):
    """From the same mount namespace, whose mounts a scan lists."""
    if not works(tier):
        pytest.skip(f"this kernel has no tier {tier}: umtrace doctor says why")
    out, sampler = tmp_path / "out", Sampler()

    def names_the_holder():
        # Where the namespace is unknown, it does not know which mount was busy.
        return "mntns" in tier_named(tier).never or '"ebusy-open"' in out.read_text()

    with loop_running(tmp_path / "loop") as loop, out.open("w") as lines:
        command = [*COMMAND, "trace", "--json", "--tier", tier]
        with subprocess.Popen(
            command,
            stdout=lines,
            stderr=subprocess.DEVNULL,
            preexec_fn=loop.enter,  # noqa: PLW1509 - system calls only
        ) as process:
            tracing_until(process, sampler, lambda: out.stat().st_size, names_the_holder)
        foreign = namespaces("self") - namespaces(loop.process.pid)
    assert process.returncode == 0
    assert set(loop.unexpected()) - alone == set()
    pins_nothing(sampler, loop, foreign)
    assert names_the_holder(), "no scan named the holder"


@pytest.mark.parametrize("ask", [False, True], ids=["seen", "ask-kernel"])
def test_why_disturbs_nobody(tmp_path, alone, ask):
    """It asks about a mount that stays, and without --ask-kernel about one that comes and goes."""
    sampler, codes = Sampler(), set()
    with loop_running(tmp_path / "loop") as loop:
        questions = [["--ask-kernel", loop.kept]] if ask else [[loop.mnt], [loop.kept]]
        end, asked = time.monotonic() + WHY_S, cycle(questions)
        while time.monotonic() < end:
            command = [*COMMAND, "why", *next(asked)]
            with subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                preexec_fn=loop.enter,  # noqa: PLW1509 - system calls only
            ) as process:
                sampler.watch(process.pid, lambda: process.poll() is not None)
            codes.add(process.returncode)
    assert codes <= ANSWERS
    assert set(loop.unexpected()) - alone - PRICE_OF_WHY == set()
    # The child that asks opens the root of the mount for a moment; see PRICE_OF_WHY too.
    price = {loop.node, loop.kept} if ask else {loop.node}
    found = {pin for pin in kept(sampler, loop) if pin.kind != "fd" or pin.text not in price}
    assert found == set()


EXPIRE_TWICE = """
import os, subprocess, sys
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
syscalls.mount("none", sys.argv[1], "tmpfs")
expire = lambda: syscalls.timed_umount(os.fsencode(sys.argv[1]), 4)[2]
first, done = expire(), subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL)
print(first, done.returncode, expire())
"""


def test_why_clears_no_expiry_mark(tmp_path):
    command = [*COMMAND, "why", str(tmp_path)]
    code = [sys.executable, "-c", EXPIRE_TWICE, str(tmp_path), *command]
    first, answer, second = map(int, subprocess.check_output(code, text=True).split())
    assert first == errno.EAGAIN
    assert answer in ANSWERS
    assert second == 0
