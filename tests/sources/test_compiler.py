"""What was compiled once is not compiled again: in a process, and in a folder of the lab's."""

from __future__ import annotations

from contextlib import closing

import pytest

from umtrace.sources.compiler import KEEP, Compiler

ANSWER = {"maps": {"events": {"fd": 3, "info": [27, 0, 0, 4096, 0]}}, "programs": {}}


@pytest.fixture
def asked(monkeypatch):
    """Return the list of requests that reached a compiler."""
    requests = []
    monkeypatch.setattr(Compiler, "_compiled", {})
    monkeypatch.setattr(Compiler, "_ask", lambda _self, r: requests.append(r) or ANSWER)
    return requests


def compiled(constant):
    with closing(Compiler()) as compiler:
        return compiler.compile({"UM_X": constant}, functions=False)


def test_the_same_constants_are_compiled_once(asked):
    assert compiled(1) == compiled(1)
    compiled(2)
    assert len(asked) == 2


def test_a_folder_keeps_it_for_other_processes(asked, monkeypatch, tmp_path):
    monkeypatch.setenv(KEEP, str(tmp_path))
    first = compiled(1)
    monkeypatch.setattr(Compiler, "_compiled", {})  # another process
    assert compiled(1) == first
    assert len(asked) == 1
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_what_is_known_needs_no_child(asked):
    with closing(Compiler()) as compiler:
        compiler.compile({"UM_X": 1}, functions=False)
        assert compiler._child is None
        child = compiler.start()
        assert compiler.start() is child
    assert child.returncode is not None
    compiler.close()
