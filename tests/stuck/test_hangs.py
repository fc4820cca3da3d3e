"""`umtrace stuck` of real hangs: the phase, the cause, and a remedy that ends them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.holders.test_asker import END, FUSE, needs_fuse
from tests.holders.test_why import HEAD

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

UMOUNT = """
def umounter(path, flags=0):
    "Unmount in another process; return it once it sleeps in umount(2)."
    code = "import os, sys; from umtrace.exercise import syscalls; print(1, flush=True);" \\
           " syscalls.timed_umount(os.fsencode(sys.argv[1]), int(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(path), str(flags)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    child.stdout.readline()
    return in_call(child, 166, 39)
"""
#: what a script leaves on the host is undone at its end, so it ends before it is killed
IN_TIME = """
import signal
def too_late(*_): raise TimeoutError("the hang has not come, or not ended")
signal.signal(signal.SIGALRM, too_late); signal.alarm(100)
"""
TAIL = """
import json
def stuck(*options):
    command = [sys.executable, "-m", "umtrace", "stuck", "--json", *options]
    done = subprocess.run(command, timeout=60, stdout=subprocess.PIPE)
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == done.returncode
    return answer
answer = stuck()
for task in answer["tasks"]:
    if task["pid"] in mine and task["cause"] and task["cause"]["command"]:
        subprocess.run(["sh", "-ec", task["cause"]["command"]], check=True)
ended = [process.wait(20) for process in processes]
wait_for(lambda: not [t for t in stuck()["tasks"] if t["pid"] in mine])
print(json.dumps({"answer": answer, "mine": mine, "server": server_pid}))
"""


def hang(tmp_path, script):
    """Return the tasks of a script that hang, and the whole of what it printed.

    One script at a time: of two FUSE connections without a mount, none is the cause for certain.
    """
    code = textwrap.dedent(HEAD) + IN_TIME + FUSE + UMOUNT + textwrap.dedent(script) + TAIL
    command = [sys.executable, "-c", code, str(tmp_path)]
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    return [t for t in seen["answer"]["tasks"] if t["pid"] in seen["mine"]], seen


LOOKUP = (
    'point, server = serve("LOOKUP")\n'
    + END
    + """
processes = [umounter(point / "x")]
mine, server_pid = [p.pid for p in processes], server.pid
"""
)
#: umount(8) asks for the path before its umount(2): newfstatat, lstat, readlink, readlinkat, statx
BEFORE = (
    'point, server = serve("LOOKUP")\n'
    + END
    + """
asks = subprocess.Popen(["umount", str(point / "x")], stderr=subprocess.DEVNULL)
processes = [in_call(asks, 262, 6, 89, 267, 332, 79, 78, 291)]
wait_for(lambda: "fuse" in Path(f"/proc/{asks.pid}/stack").read_text())
mine, server_pid = [asks.pid], server.pid
"""
)
#: what asks its server at the end is on a device
FUSEBLK = (
    """
image = mnt.parent / "image"; image.write_bytes(bytes(1 << 20))
losetup = ["losetup", "-f", "--show", str(image)]
device = subprocess.run(losetup, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
import atexit
atexit.register(lambda: subprocess.run(["losetup", "-d", device]))
def serve(*mute):
    point = mnt.parent / "fuse"; point.mkdir()
    command = [sys.executable, SERVER, f"{point}={device}", *mute]
    server = subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE)
    server.stdout.readline()
    return point, server
""".replace("SERVER", repr(str(Path(__file__).parents[1] / "holders" / "fuse_server.py")))
    + 'point, server = serve("DESTROY")\n'
    + END
)
SHUTDOWN = (
    FUSEBLK
    + """
processes = [umounter(point)]
mine, server_pid = [p.pid for p in processes], server.pid
"""
)
needs_loop = pytest.mark.skipif(
    not Path("/dev/loop-control").exists() or not shutil.which("losetup"), reason="no loop devices"
)


@pytest.mark.parametrize("needs", [pytest.param("", marks=needs_fuse)], ids=["fuse"])
class TestFuse:
    def test_a_path_walk_at_a_silent_server(self, tmp_path, needs):
        (task,), seen = hang(tmp_path, LOOKUP)
        assert (task["phase"], task["wait"]) == ("lookup", "fuse")
        assert task["path"] == f"{tmp_path}/fuse/x"
        assert task["cause"]["pids"] == [seen["server"]]
        assert seen["answer"]["exit_code"] == 10
        assert task["asleep_ns"] <= task["age_ns"]
        assert task["begun"]

    def test_a_program_that_has_not_begun_to_unmount(self, tmp_path, needs):
        (task,), _ = hang(tmp_path, BEFORE)
        assert (task["comm"], task["phase"], task["begun"]) == ("umount", "lookup", False)

    @needs_loop
    def test_a_shutdown_at_a_silent_server(self, tmp_path, needs):
        (task,), seen = hang(tmp_path, SHUTDOWN)
        assert (task["phase"], task["wait"], task["fstype"]) == ("shutdown", "fuse", "fuseblk")
        assert task["path"] == f"{tmp_path}/fuse"
        assert task["cause"]["pids"] == [seen["server"]]


#: the last reference is dropped by a kernel thread: of a file that only an io_uring has
WORKER = (
    FUSEBLK
    + """
from tests.holders.ring import ring_with
ring = ring_with(point / "x")
assert syscalls.timed_umount(os.fsencode(point), 2)[2] == 0
os.close(ring)
def workers():
    for path in Path("/proc").glob("[0-9]*/stack"):
        try:
            if "delayed_mntput" in path.read_text(): yield int(path.parent.name)
        except OSError: pass
wait_for(lambda: list(workers()))
processes, mine, server_pid = [], list(workers()), server.pid
"""
)


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no /dev/fuse: modprobe fuse")
@needs_loop
def test_a_lazy_umount_that_ends_in_the_worker(tmp_path):
    (task,), seen = hang(tmp_path, WORKER)
    assert task["comm"].startswith("kworker")
    assert (task["phase"], task["wait"], task["worker"]) == ("shutdown", "fuse", True)
    assert task["cause"]["pids"] == [seen["server"]]


FROZEN = """
outer, inner = mnt.parent / "outer", mnt.parent / "inner"
def ext4(image, point):
    point.mkdir()
    with open(image, "wb") as file: file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True)
ext4(mnt.parent / "image", outer); ext4(outer / "image", inner)
(inner / "x").write_bytes(b"x" * (5 << 20))
import atexit
thaw = ["fsfreeze", "-u", str(outer)]
atexit.register(lambda: subprocess.run(thaw, stderr=subprocess.DEVNULL))
subprocess.run(["fsfreeze", "-f", str(outer)], check=True)
processes = [umounter(inner)]
mine, server_pid = [p.pid for p in processes], None
time.sleep(0.5)  # until the writes are at the loop device
"""


@needs_loop
@pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="no mkfs.ext4")
@pytest.mark.skipif("\text4" not in Path("/proc/filesystems").read_text(), reason="no ext4")
def test_a_device_on_a_frozen_file_system(tmp_path):
    (task,), _ = hang(tmp_path, FROZEN)
    assert (task["phase"], task["wait"], task["fstype"]) == ("shutdown", "writeback", "ext4")
    assert task["device"].startswith("/dev/loop")
    assert task["cause"]["command"] == f"fsfreeze -u {tmp_path}/outer"


QUIET = """
processes, mine, server_pid = [], [os.getpid()], None
"""


def test_a_process_that_only_umounts_now_and_then_does_not_hang(tmp_path):
    assert hang(tmp_path, QUIET)[0] == []


def test_loops_of_umounts_do_not_hang(tmp_path):
    code = textwrap.dedent(HEAD) + "while True:\n    syscalls.timed_umount(os.fsencode(mnt), 0)\n"
    code += "    syscalls.mount('none', str(mnt), 'tmpfs')\n"
    for number in range(2):
        (tmp_path / f"{number}").mkdir()
    loops = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / f"{number}")])
        for number in range(2)
    ]
    try:
        time.sleep(0.5)
        command = [sys.executable, "-m", "umtrace", "stuck", "--json"]
        answer = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
        pids = {loop.pid for loop in loops}
        assert not [t for t in answer["tasks"] if t["pid"] in pids]
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
