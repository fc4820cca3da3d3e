"""What a shell offers after TAB: the values that a command takes, and recordings alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TOP = Path(__file__).parents[2]

#: (what was typed, some of what is offered, some of what is not)
_TABLE = [
    ("umtrace re", ["record", "report", "repair"], ["hist"]),
    ("umtrace report ", ["rec.umt", "kept/old.umt"], ["notes", "kept", "file.txt"]),
    ("umtrace report kept/", ["kept/old.umt"], ["rec.umt"]),
    ("umtrace diff rec.umt k", ["kept/old.umt"], ["rec.umt"]),
    ("umtrace trace --replay r", ["rec.umt"], []),
    ("umtrace report rec.umt --by m", ["mode", "mntns"], ["comm"]),
    ("umtrace report rec.umt --by mode,m", ["mode,mntns"], ["mode,mode", "mntns"]),
    ("umtrace report rec.umt --errno EB", ["EBUSY", "EBADF"], ["ok", "EINVAL"]),
    ("umtrace report rec.umt --fstype tm", ["tmpfs"], ["proc"]),
    ("umtrace report rec.umt --mode ", ["sync", "lazy"], []),
    ("umtrace report rec.umt --section ", ["groups", "ebusy"], []),
    ("umtrace report rec.umt --sec", ["--section"], ["--json"]),
    ("umtrace ebusy rec.umt --class h", ["held"], ["unknown"]),
    ("umtrace record --tier f", ["fentry", "ftrace"], ["kprobe"]),
    ("umtrace selftest --tier a", ["all"], ["auto"]),
    ("umtrace export rec.umt --columns path,rcu", ["path,rcu_ns", "path,rcu_kind"], ["rcu_ns"]),
    ("umtrace hist rec.umt --phase r", ["rcu"], ["latency"]),
    ("umtrace fleet report x --by k", ["kernel"], ["host"]),
    ("umtrace fleet re", ["report"], ["repair"]),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with two recordings, and what is none; and a command `umtrace`."""
    path = tmp_path_factory.mktemp("completion")
    shutil.copytree(_TOP / "recordings/propagation.umt", path / "rec.umt")
    shutil.copytree(_TOP / "recordings/propagation.umt", path / "kept/old.umt")
    (path / "notes").mkdir()
    (path / "file.txt").touch()
    (path / "bin").mkdir()
    program = path / "bin/umtrace"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m umtrace "$@"\n')
    program.chmod(0o755)
    return path


def _run(place, command, **variables):
    return subprocess.run(
        command,
        cwd=place,
        env={
            "PATH": f"{place}/bin:/usr/bin:/bin",
            "PYTHONPATH": str(_TOP),
            "LANG": "C.UTF-8",
            **variables,
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(("typed", "offered", "others"), _TABLE, ids=[row[0] for row in _TABLE])
def test_bash_offers(place, typed, offered, others):
    """Bash calls the function that the README's line defines, as it does after TAB."""
    words = typed.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""
        eval "$(_UMTRACE_COMPLETE=bash_source umtrace)"
        complete -p umtrace >&2
        COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}
        _umtrace_completion umtrace '{words[-1]}' '{words[-2]}'
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    found = _run(place, ["bash", "--norc", "-c", script]).split()
    assert set(offered) <= set(found)
    assert not set(others) & set(found)


def test_bash_completes_at_a_terminal(place):
    """A TAB in an interactive bash, through readline, writes the rest of the only recording."""
    import pty

    pid, fd = pty.fork()
    if not pid:
        os.chdir(place)
        os.environ.update(PATH=f"{place}/bin:/usr/bin:/bin", PYTHONPATH=str(_TOP), TERM="xterm")
        os.execv("/bin/bash", ["bash", "--norc", "-i"])
    os.write(fd, b'eval "$(_UMTRACE_COMPLETE=bash_source umtrace)"; echo rea""dy\n')
    said = b""
    while b"ready\r\n" not in said:
        said += os.read(fd, 4096)
    os.write(fd, b"echo umtrace; umtrace report kep\t\n")
    while b"kept/old.umt" not in said:
        said += os.read(fd, 4096)
    os.write(fd, b"exit\n")
    while _read(fd):
        pass
    os.waitpid(pid, 0)


def _read(fd):
    try:
        return os.read(fd, 4096)
    except OSError:  # its other end is closed
        return b""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_the_same(place, shell):
    script = _run(place, ["umtrace"], _UMTRACE_COMPLETE=f"{shell}_source")
    assert f"_UMTRACE_COMPLETE={shell}_complete" in script
    words = {"COMP_WORDS": "umtrace report rec.umt --by m", "COMP_CWORD": "4"}
    if shell == "fish":
        words["COMP_CWORD"] = "m"
    found = _run(place, ["umtrace"], _UMTRACE_COMPLETE=f"{shell}_complete", **words)
    assert "mode" in found
    assert "comm" not in found
