"""Runs a script in a mount namespace of its own, with what makes mounts and asks about them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

HEAD = """
import errno, json, os, shlex, signal, subprocess, sys, time
from pathlib import Path
from umtrace.exercise import syscalls
from umtrace.holders.busy_query import BusyQuery
from umtrace.present.remedies import remedy
# A namespace file may be bound in an older namespace only, and Linux 6.18 goes by numbers that
# each CPU gives out of a stock of its own (gen_cookie_next): on one CPU they grow with time.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
syscalls.unshare_mounts(); syscalls.make_private()
SHARED, SLAVE, PRIVATE = 1 << 20, 1 << 19, 1 << 18
room = Path(sys.argv[1]); out = []
def mount(path, name, flags=None):
    "Mount a tmpfs with two directories and a file; change its propagation."
    path = Path(path); path.mkdir(exist_ok=True)
    syscalls.mount(name, str(path), "tmpfs")
    for sub in ("d", "e"): (path / sub).mkdir()
    (path / "x").write_text("x")
    if flags: syscalls.mount("none", str(path), flags=flags)
    return path
def elsewhere(code, begin="s.unshare_mounts()"):
    "Run Python in a namespace of its own, until the end; return when it is there."
    code = ("import os, sys; from umtrace.exercise import syscalls as s\\n" + begin + "\\n"
            + code + "\\nprint(1, flush=True); sys.stdin.read()")
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child = subprocess.Popen([sys.executable, "-c", code], cwd="/", **pipes)
    assert child.stdout.readline(), code
    return child
def ended(child):
    child.stdin.close(); child.wait()
def ask(path):
    return BusyQuery(str(path)).answer()
def umount(path):
    "Return the errno; 0: it went."
    return syscalls.timed_umount(os.fsencode(path), 0)[2]
def free(answer, of="superblock"):
    "Do what the answer advises; return the commands that failed."
    found = [h for h in answer.holders if h.of == of]
    commands = [remedy(h).command for h in found]
    for one in commands: assert one, (found, "no command")
    return [c for c in commands if subprocess.run(c, shell=True).returncode]
def alive(dev):
    "Whether a mount of the superblock is left in any namespace."
    from umtrace.holders.namespaces import Namespaces
    return any(m.dev == dev for _, m in Namespaces.read().mounts())
"""
TAIL = "\nprint(json.dumps(out))\n"
#: asks about a mount, runs the remedies, unmounts it
ASK = """
def case(name, m, keep):
    answer = ask(m)
    found = [h.to_dict() for h in answer.holders if h.of == "superblock"]
    failed = free(answer)
    assert umount(m) == 0
    for _ in range(50):
        if not (left := alive(answer.dev)): break
        time.sleep(0.1)  # a namespace ends in the background
    out.append([name, found, failed, left])
    keep()
PRIVATE_COPY = "s.make_private();"
"""


def run(directory, script):
    """Return what the script put into ``out``."""
    code = HEAD + textwrap.dedent(script) + TAIL
    command = [sys.executable, "-c", code, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def only(found):
    """Return the one case, and its one holder."""
    ((_, holders, failed, left),) = found
    assert (failed, left) == ([], False)
    (holder,) = holders
    return holder
