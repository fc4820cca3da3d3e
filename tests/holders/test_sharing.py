from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from tests.holders.test_sampling import held as held  # noqa: PLC0414 - a fixture
from umtrace.holders import comparing
from umtrace.holders.asker import asker
from umtrace.holders.procfs import Open
from umtrace.holders.sharing import references

ME = os.getpid()


@pytest.fixture(autouse=True)
def _ends():
    yield
    asker().close()


@pytest.fixture
def child():
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    yield pid
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def numbers(*opened, mount=1):
    return references([(mount, one) for one in opened])


def test_a_copy_of_a_descriptor_shares_its_reference_and_another_open_does_not(tmp_path):
    path = str(tmp_path / "x")
    with open(path, "w") as file, open(path) as again:  # noqa: PTH123
        copy = os.dup(file.fileno())
        fds = (file.fileno(), again.fileno(), copy)
        assert numbers(*(Open(ME, ME, "fd", path, fd) for fd in fds)) == [0, 1, 0]
        os.close(copy)


def test_a_child_shares_files_and_has_directories_of_its_own(held, request):
    child = request.getfixturevalue("child")  # after the file is open
    theirs = Open(child, child, "fd", held.path, held.fd)
    here = [
        Open(pid, pid, kind, str(Path.cwd())) for pid in (ME, child) for kind in ("cwd", "root")
    ]
    assert numbers(held, theirs, *here) == [0, 0, 2, 3, 4, 5]


def test_what_differs_in_path_or_mount_is_not_asked_for(held, monkeypatch):
    monkeypatch.setattr("umtrace.holders.sharing.asker", None)
    other = Open(held.pid, held.tid, "fd", "/elsewhere", held.fd)
    assert numbers(held, other) == [0, 1]
    assert references([(1, held), (2, held)]) == [0, 1]


def test_mappings_and_what_no_task_has_are_not_known(held):
    mapped = Open(held.pid, held.tid, "maps", held.path)
    assert numbers(mapped, None, held) == [None, None, 2]


def test_where_a_comparison_fails_none_of_these_is_known(held):
    gone = Open(1 << 22, 1 << 22, "fd", held.path, 3)
    assert numbers(held, gone, held) == [None, None, None]
    assert comparing.compared([(comparing.FILE, 1 << 22, ME, 3, 3)]) == [-errno.ESRCH]


def test_too_many_of_one_path_are_not_compared(held):
    assert numbers(*[held] * 33) == [None] * 33


def test_a_machine_without_the_number_of_the_call_knows_nothing(monkeypatch):
    monkeypatch.setattr(comparing, "_KCMP", {})
    assert comparing.compared([(comparing.FILE, ME, ME, 0, 0)]) == [-errno.ENOSYS]
