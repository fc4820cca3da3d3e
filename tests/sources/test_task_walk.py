"""The walk of tasks where no kernel is asked; tests/lab/task_walk.py asks one."""

from __future__ import annotations

import os
from contextlib import closing

from umtrace.sources.bpf import task_walk
from umtrace.sources.bpf.task_walk import TaskWalk


class Loaded:
    """Has descriptors that are no map and no link: whoever uses them gets an OSError."""

    def __init__(self):
        self.fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def map_fd(self, _name):
        return self.fd

    def attach_iterator(self, _program, _btf_id):
        return self.fd

    def close(self):
        os.close(self.fd)


def test_a_kernel_that_refuses_names_nobody():
    with closing(Loaded()) as loaded:
        assert TaskWalk(loaded, 1)({7}) == []


def test_after_its_source_is_closed_no_descriptor_is_used(monkeypatch):
    used = []
    monkeypatch.setattr(task_walk, "put", lambda *what: used.append(what))
    monkeypatch.setattr(task_walk, "remove", lambda *what: used.append(what))
    monkeypatch.setattr(task_walk, "open_iterator", lambda fd: os.open("/dev/null", os.O_RDONLY))
    with closing(Loaded()) as loaded:
        walk = TaskWalk(loaded, 1)
        assert walk.walk({7}) == []
        assert len(used) == 2
        walk.close()
        assert (walk({7}), walk.walk({7})) == ([], [])
    assert len(used) == 2
