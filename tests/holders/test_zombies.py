"""Processes whose first thread has ended: the others hold, and a zombie alone does not."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.holders.test_why import FREE, of, why

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.usefixtures("alone"),
]
PROGRAM = r"""
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
static void *stay(void *how) {
    (void)how; puts("."); fflush(stdout); pause(); return 0;
}
int main(int n, char **v) {
    pthread_t t;
    if (n > 2 && v[1][0] == 'm') {
        int f = open(v[2], O_RDONLY); mmap(0, 4096, PROT_READ, MAP_PRIVATE, f, 0); close(f);
    } else if (n > 2 && v[1][0] == 'f') open(v[2], O_RDONLY);
    else if (n > 2 && v[1][0] == 'c' && chdir(v[2])) return 1;
    pthread_create(&t, 0, stay, 0); pthread_exit(0);
}
"""
HOLD = """
import shutil
program = PROGRAM
if HOW == "exe":
    program = str(mnt / "program"); shutil.copy2(PROGRAM, program)
where = str(mnt) if HOW == "cwd" else str(mnt / "x")
arguments = [] if HOW == "exe" else [HOW, where]
held = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, cwd="/")
import atexit
atexit.register(lambda: (held.kill(), held.wait()))
held.stdout.read(1)
stat = Path(f"/proc/{held.pid}/stat")
while stat.read_text().rpartition(")")[2].split()[0] != "Z": time.sleep(0.01)
assert syscalls.timed_umount(os.fsencode(mnt), 0)[2] == 16
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    (folder / "p.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-o", folder / "p", folder / "p.c", "-lpthread"], check=True)
    return str(folder / "p")


@pytest.mark.parametrize("how", ["fd", "cwd", "maps", "exe"])
def test_another_thread_than_the_first_holds(tmp_path, program, how):
    answer = why(tmp_path, f"PROGRAM, HOW = {program!r}, {how!r}" + HOLD)
    assert answer["state"] == "held"
    assert (how, "mount") in of(answer)


def test_zombies_are_no_reason_for_doubt(tmp_path):
    answer = why(
        tmp_path,
        """
zombies = [subprocess.Popen("true") for _ in range(12)]
for one in zombies: os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
""",
    )
    assert len(answer["unread"]) <= 1  # pid 1 of some virtual machines
    assert answer["state"] in {*FREE, "unknown"}  # the latter for what others do meanwhile
