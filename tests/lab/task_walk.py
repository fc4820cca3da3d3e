"""Who has something open on a mount, as the kernel itself says it, beside who really has.

    task_walk.py TIER FOLDER

Root, in a guest: FOLDER gets a tmpfs. Prints a line of JSON: what the walk found and what is true,
both as lists of [process, places, descriptors], and of a mount that nobody uses.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from umtrace.exercise import syscalls
from umtrace.sources.bpf.source import BpfSource

CWD, ROOT, EXE = 1, 2, 4
#: opens DESCRIPTORS of a file, the last one in a word of its own of the kernel's bitmap
OPENS = (
    "import os, sys; fd = os.open(sys.argv[1], os.O_RDONLY); os.dup2(fd, 70); os.dup2(fd, 200);"
    "print(flush=True); sys.stdin.read()"
)
DESCRIPTORS = 3
#: a thread with a working directory of its own
STRAYS = (
    "import ctypes, os, sys, threading\n"
    "def stray():\n"
    "    ctypes.CDLL(None).unshare(0x200); os.chdir(sys.argv[1]); print(flush=True)\n"
    "    sys.stdin.read()\n"
    "threading.Thread(target=stray).start()\n"
)
CHROOT = "import os, sys; os.chroot(sys.argv[1]); print(flush=True); sys.stdin.read()"
COPY = (
    "from umtrace.exercise import syscalls; import sys; syscalls.unshare_mounts();"
    "print(flush=True); sys.stdin.read()"
)


def mount_id(path):
    lines = map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
    return next(int(words[0]) for words in lines if words[4] == str(path))


def child(code, *args, **given):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    begun = subprocess.Popen([sys.executable, "-c", code, *map(str, args)], **pipes, **given)
    begun.stdout.readline()
    return begun


def holders(place):
    """Begin one of each kind; return them with what is true of each."""
    (place / "x").write_text("x")
    program = shutil.copy("/bin/sleep", place / "program")
    idle = "print(flush=True); import sys; sys.stdin.read()"
    return [
        (child(OPENS, place / "x"), 0, DESCRIPTORS),
        (child(idle, cwd=place), CWD, 0),
        (child(CHROOT, place), ROOT, 0),
        (child(STRAYS, place), CWD, 0),
        (subprocess.Popen([program, "100"]), EXE, 0),
    ]


def main():
    tier, place = sys.argv[1], Path(sys.argv[2])
    place.mkdir()
    syscalls.mount("none", str(place), "tmpfs")
    unused = place / "unused"
    unused.mkdir()
    syscalls.mount("none", str(unused), "tmpfs")
    source = BpfSource(tier)
    with closing(source):
        source.open()
        line = next(line for line in source.plan() if line.meaning == "first to be read")
        walk, begun = source.task_walk(), holders(place)
        copy = child(COPY)  # its copies of both mounts are other mounts
        found = {"plan": line.state, "walked": None, "unused": None, "pids": None}
        if walk is not None:
            seen = walk.walk({mount_id(place)})
            found["walked"] = sorted([each.pid, each.places, each.files] for each in seen)
            found["unused"] = walk.walk({mount_id(unused)})
            found["pids"] = sorted(walk({mount_id(place), 1 << 40}))
        found["true"] = sorted([each.pid, places, files] for each, places, files in begun)
        for each in (copy, *(each for each, *_ in begun)):
            each.kill()
            each.wait()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
