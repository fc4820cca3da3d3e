"""The pass after an EBUSY: who is read first, what it may take, and with which priority."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from umtrace.holders import looking
from umtrace.holders import priority as priority_module
from umtrace.holders.asker import Asker, asker, children
from umtrace.holders.likely import Before, likely
from umtrace.holders.mounts import MountTable
from umtrace.holders.priority import Priority
from umtrace.holders.quick import QuickSweep
from umtrace.holders.worker import ScanWorker
from umtrace.model.holders import Holder, HolderScan, ScanRequest

ME = os.getpid()
FAR = 10.0


@pytest.fixture(autouse=True)
def _no_child_left():
    yield
    asker().close()


def sweep(prefix, cpu_s=FAR, first=()):
    return QuickSweep(cpu_s, time.monotonic() + FAR, prefixes=[prefix], devs=[], likely=first)


def test_only_what_is_on_the_target_is_returned(tmp_path):
    with (tmp_path / "x").open("w") as file, socket.socket(socket.AF_UNIX) as bound:
        found = list(sweep(str(tmp_path)).opened())
        mine = [o for o in found if o.pid == ME and o.path.startswith("/")]
        assert [(o.kind, o.path, o.fd) for o in mine] == [("fd", file.name, file.fileno())]
        # A socket may be bound there, which its link does not say.
        assert bound.fileno() in [o.fd for o in found if o.pid == ME]
    assert not {o.pid for o in found} & children()


def test_a_thread_with_a_directory_of_its_own_is_found_with_the_threads(tmp_path):
    code = (
        "import ctypes, os, sys, threading\n"
        "def leave():\n"
        "    ctypes.CDLL(None).unshare(0x200)\n"  # CLONE_FS
        "    os.chdir(sys.argv[1]); print(threading.get_native_id(), flush=True)\n"
        "    sys.stdin.read()\n"
        "threading.Thread(target=leave).start()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd="/", text=True, **pipes) as process:
        tid = int(process.stdout.readline())
        once = sweep(str(tmp_path))
        assert [o for o in once.opened() if o.pid == process.pid and o.path[0] == "/"] == []
        found = [o for o in once.rest() if o.pid == process.pid]
        process.stdin.close()
    assert [(o.tid, o.kind, o.path) for o in found] == [(tid, "cwd", str(tmp_path))]


def test_the_likely_ones_are_read_whole_before_all_others(tmp_path):
    steps = []

    class Noted(looking.Pass):
        def links(self, pid):
            steps.append(("links", pid))

        def files(self, pid):
            steps.append(("files", pid))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(looking, "Pass", Noted)
        looking.opened([3], [5, 4], [b"/x"], FAR, time.monotonic() + FAR)
    order = [("links", 3), ("files", 3), ("links", 5), ("links", 4), ("files", 5), ("files", 4)]
    assert steps == order
    assert sweep(str(tmp_path), first=[ME, 2**22 + 1]).pids[0] == ME


def test_those_that_the_kernel_named_are_read_alone_and_first(tmp_path):
    with (tmp_path / "x").open("w") as file:
        until = time.monotonic() + FAR
        gone = 2**22 + 1
        given = {"prefixes": [str(tmp_path)], "devs": [], "likely": [ME], "named": [ME, gone]}
        once = QuickSweep(FAR, until, **given)
        assert once.pids[0] == ME
        assert [(o.fd, o.path) for o in once.walked() if o.path[0] == "/"] == [
            (file.fileno(), file.name)
        ]
        assert once.n_read == 1
        assert ME not in {o.pid for o in once.opened()}
        assert once.n_read > 1


def test_without_a_name_from_the_kernel_nothing_is_read_before(tmp_path):
    once = sweep(str(tmp_path))
    assert (list(once.walked()), once.n_read) == ([], 0)


@pytest.mark.parametrize(("cpu_s", "wall_s"), [(0.0, FAR), (FAR, -1.0)])
def test_a_pass_that_is_over_says_how_much_is_left(cpu_s, wall_s):
    until = time.monotonic() + wall_s
    found, denied, _, n_read, links, files, _ = looking.opened([ME], [1], [b"/"], cpu_s, until)
    # The CPU time of the first step may be too short to be counted.
    assert links + files >= 2
    assert len(found) <= 3
    assert (denied, n_read) in [([], 0), ([], 1)]
    assert looking.of_threads([ME], [b"/"], FAR, time.monotonic() - 1)[2] == 1


def test_what_ends_early_is_blind(tmp_path):
    once = sweep(str(tmp_path))
    list(once.opened())
    once.go_on(time.monotonic() + FAR, lambda: True)
    list(once.rest())
    assert {
        f"{what} of {len(once.pids)} processes (out of time)"
        for what in ("mapped files", "threads")
    } <= {*once.blind}


def test_a_looker_that_was_killed_is_blind_and_no_error(tmp_path):
    once = sweep(str(tmp_path))
    os.kill(asker().start().process.pid, 9)
    assert list(once.opened()) == []
    assert "the process that looks was killed" in once.blind


def test_holders_of_before_come_first_then_the_session_of_the_umounter():
    before = Before()
    for pid in (7, 8, 7):
        holders = (Holder(kind="fd", pid=pid), Holder(kind="swap"))
        before.add([HolderScan(umount_id=1, path="/", begin_ns=1, end_ns=2, holders=holders)])
    assert [*before] == [7, 8]
    request = ScanRequest(umount_id=1, path="/mnt", pid=ME)
    found = likely([request], before, MountTable.of())
    assert found[:3] == (7, 8, ME)
    parent = os.getppid()
    assert (parent in found) == (os.getsid(parent) == os.getsid(0))


def test_an_umounter_that_has_ended_has_no_session():
    request = ScanRequest(umount_id=1, path="/mnt", pid=2**22 + 1)
    assert likely([request], [5], MountTable.of()) == (5, 2**22 + 1)


def test_the_holders_of_many_scans_are_bounded():
    before = Before()
    for first in range(0, 1000, 10):
        holders = tuple(Holder(kind="fd", pid=pid) for pid in range(first, first + 10))
        before.add([HolderScan(umount_id=1, path="/", begin_ns=1, end_ns=2, holders=holders)])
    assert len([*before]) <= 64
    assert next(iter(before)) == 990


def nice(pid):
    return os.getpriority(os.PRIO_PROCESS, pid)


class Raised(threading.Thread):
    """A thread with a child that takes the higher priority, and uses up what it may."""

    def run(self):
        asked = Asker()
        child = asked.start().process.pid
        before = nice(0)
        priority = Priority(before - 1)
        priority.take(child)
        self.seen = [(nice(0) - before, nice(child) - before)]
        for _ in range(2):
            with priority.look(child):
                self.seen.append((nice(0) - before, nice(child) - before))
                end = time.thread_time() + 0.4
                while time.thread_time() < end:
                    pass
        self.seen.append((nice(0) - before, nice(child) - before))
        asked.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root may raise a priority")
def test_the_second_of_two_long_looks_has_no_higher_priority(monkeypatch):
    monkeypatch.setattr(priority_module, "_SHARE", 0.0)  # a busy host gives us time to recover
    thread = Raised()
    thread.start()
    thread.join()
    assert thread.seen == [(-1, -1), (-1, -1), (0, 0), (-1, -1)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root may raise a priority")
def test_a_worker_leaves_the_priority_of_who_made_it():
    before = nice(0)
    worker = ScanWorker(nice=before - 1)
    worker.ask([ScanRequest(umount_id=1, path="/dev/shm", pid=ME)])
    found, until = [], time.monotonic() + FAR
    while not found and time.monotonic() < until:
        found = worker.answers()
        time.sleep(0.01)
    assert nice(0) == before
    worker.close()
    assert [scan.umount_id for scan in found] == [1]
