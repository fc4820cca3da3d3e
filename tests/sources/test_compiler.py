"""What was compiled once is not compiled again: in a process, and where it is kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing

import pytest

from umtrace.model.errors import NoTierError
from umtrace.sources.bpf import program_cache
from umtrace.sources.bpf.compiler import COMPILED, KEPT, Compiler
from umtrace.sources.bpf.program_cache import ProgramCache, file_state
from umtrace.sources.bpf.text import bpf_directory

ANSWER = {
    "maps": {"events": {"fd": 3, "info": [27, 0, 0, 4096, 0]}},
    "programs": {},
    "made_by": {__file__: file_state(__file__)},
}


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Return the list of requests that reached a compiler."""
    requests = []
    monkeypatch.setattr(Compiler, "_compiled", {})
    monkeypatch.setattr(Compiler, "_ask", lambda _self, r, _m: requests.append(r) or ANSWER)
    monkeypatch.setattr(Compiler, "start", lambda _self: requests.append("start"))
    monkeypatch.setattr(ProgramCache, "of_this_user", lambda: ProgramCache(tmp_path / "cache"))
    return requests


def compiled(constant, *, another_process=False):
    if another_process:
        Compiler._compiled.clear()
    with closing(Compiler()) as compiler:
        return compiler.compile({"UM_X": constant}), compiler.how


def test_a_compiler_that_is_killed_in_its_answer(monkeypatch):
    script = "import os, sys; sys.stdin.readline(); os.write(1, b'{\"maps\": {'); os._exit(7)"
    monkeypatch.setattr(Compiler, "_command", lambda _self: [sys.executable, "-c", script])
    monkeypatch.setattr(Compiler, "_compiled", {})
    with (
        closing(Compiler(ProgramCache(None))) as compiler,
        pytest.raises(NoTierError, match="with 7"),
    ):
        compiler.compile({"UM_X": 1})


def test_the_same_constants_are_compiled_once(asked):
    assert compiled(1) == (compiled(1)[0], COMPILED)
    compiled(2)
    assert len(asked) == 2


def test_other_processes_find_it(asked):
    first, _how = compiled(1)
    assert compiled(1, another_process=True) == (first, KEPT)
    assert compiled(2, another_process=True)[1] == COMPILED
    assert len(asked) == 2


def test_another_kernel_or_umtrace_or_header_is_another_key(asked, monkeypatch):
    compiled(1)
    monkeypatch.setattr(program_cache, "__version__", "0")
    assert compiled(1, another_process=True)[1] == COMPILED
    monkeypatch.setattr(program_cache, "possible_cpus", lambda: 7)
    assert compiled(1, another_process=True)[1] == COMPILED
    assert len(asked) == 3


def test_what_0_1_0_kept_is_never_asked_for(asked, monkeypatch):
    """It took headers from the working directory, whoever they were from."""
    compiled(1)
    (key,) = {json.loads(request)["flags"][0] for request in asked}
    assert key == "-nostdinc"
    now = program_cache.environment_key()
    monkeypatch.setattr(program_cache, "_INCLUDED", "")
    assert program_cache.environment_key() != now


def test_a_header_that_is_included_is_in_the_key(monkeypatch, tmp_path):
    copy = tmp_path / "bpf"
    shutil.copytree(bpf_directory(), copy)
    monkeypatch.setattr(program_cache, "bpf_directory", lambda: copy)
    seen = {program_cache.environment_key()}
    for header in [*copy.rglob("*.h")]:
        header.write_text(header.read_text() + "/* changed */\n")
        seen.add(program_cache.environment_key())
    assert len(seen) == 1 + len([*copy.rglob("*.h")])


def test_the_child_is_started_ahead_where_nothing_is_kept(asked):
    with closing(Compiler()) as compiler:
        compiler.expect()
        assert asked == ["start"]
        compiler.compile({"UM_X": 1})
    Compiler._compiled.clear()
    asked.clear()
    with closing(Compiler()) as compiler:
        compiler.expect()
    assert not asked


WAITS = """
import pathlib, sys, time
sys.stdin.readline()
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
print(sys.argv[2], flush=True)
"""


def test_meanwhile_is_while_the_child_works(monkeypatch, tmp_path):
    words = [sys.executable, "-c", WAITS, str(tmp_path / "done"), json.dumps(ANSWER)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as child:
        monkeypatch.setattr(Compiler, "_compiled", {})
        monkeypatch.setattr(Compiler, "start", lambda _self: child)
        with closing(Compiler(ProgramCache(None))) as compiler:
            # The child answers only after this.
            compiler.compile({}, meanwhile=(tmp_path / "done").touch)
            assert compiler.how == COMPILED


def test_the_child_ends_with_the_compiler():
    with closing(Compiler()) as compiler:
        assert compiler._child is None
        child = compiler.start()
        assert compiler.start() is child
    assert child.returncode is not None
    compiler.close()
