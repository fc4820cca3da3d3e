"""Tasks on their way out: they still hold, and show nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.holders.test_asker import END, FUSE, needs_fuse
from tests.holders.test_why import FREE, why
from umtrace.holders.exiting import exiting_tasks, still_exiting

pytestmark = [*needs_fuse, pytest.mark.usefixtures("alone")]
#: its first file is closed for ever, so the second stays open
LEAVING = (
    FUSE
    + """
point, server = serve("FLUSH")
"""
    + END
    + """
code = "import os, sys; f = os.open(sys.argv[1], 0); g = os.open(sys.argv[2], 0);" \\
       " os.write(1, b'.'); os._exit(0)"
files = [str(point / "x"), str(mnt / "x")]
leaving = subprocess.Popen([sys.executable, "-c", code, *files], stdout=subprocess.PIPE)
leaving.stdout.read(1)
stat = Path(f"/proc/{leaving.pid}/stat")
wait_for(lambda: int(stat.read_text().rpartition(")")[2].split()[6]) & 4)  # PF_EXITING
assert syscalls.timed_umount(os.fsencode(mnt), 0)[2] == 16
"""
)
GONE = """
server.kill(); leaving.wait()
"""


def test_a_task_that_hangs_in_its_exit_is_no_reason_to_say_nobody(tmp_path):
    answer = why(tmp_path, LEAVING)
    assert answer["state"] == "unknown"
    assert any("it is exiting" in what for what in answer["blind"])


def test_a_task_that_has_ended_is_none(tmp_path):
    answer = why(tmp_path, LEAVING + GONE)
    assert not any("it is exiting" in what for what in answer["blind"])
    assert answer["state"] in {*FREE, "unknown"}  # the latter for what others do meanwhile


def test_a_zombie_is_not_on_its_way():
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert zombie.pid not in {task.pid for task in exiting_tasks()}
    zombie.wait()
    assert not still_exiting(set())
