from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile

import pytest

from umtrace.exercise import namespace

_LEAVES_BESIDE_A_THREAD = """
import os, sys, threading, time
from pathlib import Path
from umtrace.exercise import namespace, syscalls
from umtrace.model.clock import ClockPair

origin = os.open("/proc/self/ns/mnt", os.O_RDONLY)
syscalls.unshare_mounts()
ours = namespace.PrivateNamespace(Path("/"))
threading.Thread(target=time.sleep, args=(0.2,)).start()
ours.leave(origin, ClockPair.here())
print(ours.teardown.how, threading.active_count())
"""


@pytest.fixture
def tmp(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def dead_pid():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_sweep_removes_empty_directories_of_the_dead_only(tmp, dead_pid):
    stale = tmp / f"umtrace-exercise-{dead_pid}-a"
    kept = [
        tmp / f"umtrace-exercise-{os.getpid()}-a",
        tmp / f"umtrace-exercise-{dead_pid}-full",
        tmp / "umtrace-exercise-notes",
        tmp / f"other-{dead_pid}-a",
    ]
    for directory in (stale, *kept):
        directory.mkdir()
    (kept[1] / "file").touch()
    (tmp / f"umtrace-exercise-{dead_pid}-link").symlink_to(kept[3])
    namespace._sweep()
    assert not stale.exists()
    assert all(directory.exists() for directory in kept)


def test_sweep_spares_a_directory_in_use_in_another_pid_namespace(tmp, dead_pid):
    directory = tmp / f"umtrace-exercise-{dead_pid}-a"
    directory.mkdir()
    fd = os.open(directory, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    namespace._sweep()
    assert directory.exists()
    os.close(fd)
    namespace._sweep()
    assert not directory.exists()


def test_the_mount_under_the_root_counts(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text("27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n")
    monkeypatch.setattr(namespace, "_MOUNTINFO", table)
    assert namespace.count_mounts() == 2
    assert namespace.count_all_mounts() == 3
    table.write_text("27 27 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:2 / /proc rw - proc proc rw\n")
    assert namespace.count_all_mounts() == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace")
def test_the_namespace_is_left_when_the_last_thread_has_ended():
    # setns(2) answers EINVAL while a thread shares the working directory.
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES_BESIDE_A_THREAD], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("setns 1\n", "")
