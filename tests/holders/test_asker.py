"""Questions that the kernel never answers, asked of real FUSE servers that go silent."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.holders.test_why import FREE, HEAD, why
from umtrace.holders import procfs
from umtrace.holders.asker import Asker

needs_fuse = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no /dev/fuse: modprobe fuse"),
]
FUSE = f"""
def serve(*mute):
    "Serve a FUSE file system from a process that ends with us."
    point = mnt.parent / "fuse"; point.mkdir()
    command = [sys.executable, {str(Path(__file__).with_name("fuse_server.py"))!r}, str(point)]
    lifeline = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    server = subprocess.Popen([*command, *mute], cwd="/", **lifeline)
    server.stdout.readline()
    return point, server
def wait_for(what):
    while not what(): time.sleep(0.01)
def in_call(process, *numbers):
    "Wait until a process sleeps in a system call."
    where = Path(f"/proc/{{process.pid}}/syscall")
    wait_for(lambda: where.read_text().split()[0] in map(str, numbers))
    return process
"""
END = """
import atexit
atexit.register(lambda: (server.kill(), server.wait()))
"""
#: a page that is being read for ever, and a mapping that waits for it with the memory locked
LOCKED = (
    FUSE
    + """
point, server = serve("READ")
"""
    + END
    + """
run = [sys.executable, "-c"]
reader = subprocess.Popen([*run, "import sys; open(sys.argv[1], 'rb').read(1)", str(point / "x")])
in_call(reader, 0, 63)
mapper = "import mmap, os, sys; f = os.open(sys.argv[1], os.O_RDONLY); os.write(1, b'.');" \\
         " mmap.mmap(f, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)"
locked = subprocess.Popen([*run, mapper, str(point / "x")], stdout=subprocess.PIPE)
locked.stdout.read(1)
stat = Path(f"/proc/{locked.pid}/stat")
wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "D")
"""
)


def test_answers_come_in_order_and_refusals_are_errors():
    asker = Asker()
    asked = [(os.fsencode(path),) for path in ("/proc/self/exe", "/", "/no/such")]
    first, *others = asker.each("link", asked)
    assert os.fsdecode(first).startswith("/")
    assert [error.errno for error in others] == [errno.EINVAL, errno.ENOENT]
    with pytest.raises(FileNotFoundError):
        asker.ask("link", b"/no/such")
    asker.close()
    assert not asker.pids


def test_many_questions_and_long_answers():
    asker, path = Asker(), b"/" + b"x" * 4000
    pids = procfs.pids() * 20
    answers = list(asker.each("mapped", [(pid, [b"/", path], []) for pid in pids]))
    assert len(answers) == len(pids)
    asker.close()


def test_what_was_not_waited_for_is_no_answer_to_another_question():
    asker = Asker()
    asked = [(os.getpid(), [b"/"], [])] * 50
    assert len(list(asker.each("mapped", asked, until=0))) == 0
    for _ in asker.each("mapped", asked):
        break
    assert asker.ask("kind", b"/")[0] & 0o170000 == 0o040000
    asker.close()


def test_a_child_that_was_killed_is_replaced():
    asker = Asker()
    asker.ask("kind", b"/")
    (pid,) = asker.pids
    os.kill(pid, 9)
    answers = list(asker.each("kind", [(b"/",)] * 3))
    assert [isinstance(answer, OSError) for answer in answers] == [True, False, False]
    asker.close()


IN_A_DEAD_SERVER = """
from umtrace.holders.asker import Asker
asker, path = Asker(), os.fsencode(mnt.parent / "fuse" / "y")
answers = list(asker.each("kind", [(b"/",), (path,), (b"/",)], patience_s=0.5))
print([getattr(answer, "errno", 0) for answer in answers], len(asker.pids), flush=True)
asker.close()
print(len(asker.pids), flush=True)
"""


TWO_LOOKS = """
import json
from umtrace.holders.worker import AGAIN_NS, ScanWorker
from umtrace.model.holders import ScanRequest
os.chdir(mnt)
worker = ScanWorker()
for number in range(2):
    worker.ask([ScanRequest(umount_id=number, path=str(mnt))])
    found = []
    while not found: found = worker.answers(); time.sleep(0.01)
    mine = [(each.kind, each.stays) for each in found[0].holders if each.pid == os.getpid()]
    print(json.dumps([mine, [what for what in found[0].blind if "out of time" in what]]))
    time.sleep(AGAIN_NS / 1e9)
worker.close()
print("ended", flush=True)
"""


@pytest.mark.usefixtures("alone")
class TestSilentServers:
    pytestmark = needs_fuse

    def test_a_child_in_the_kernel_is_left_behind(self, tmp_path):
        out = scripted(tmp_path, FUSE + 'point, server = serve("LOOKUP")\n' + IN_A_DEAD_SERVER)
        assert out[0] == f"[0, {errno.ETIMEDOUT}, 0] 2"
        assert out[1] == "1"

    def test_a_task_with_its_memory_locked_does_not_stop_the_looks(self, tmp_path):
        answer = why(tmp_path, LOCKED)  # which gives it 100 s
        blind = [what for what in answer["blind"] if "no answer in" in what]
        if blind:  # since per-VMA locks cover maps only tasks in execve(2) wait: 6.17
            assert answer["state"] == "unknown"
        else:
            assert answer["state"] in FREE, answer["blind"]

    def test_nor_does_it_stop_the_looks_of_a_recording(self, tmp_path):
        *looks, ended = scripted(tmp_path, LOCKED + TWO_LOOKS)
        for mine, out_of_time in map(json.loads, looks):
            # 50 ms are not enough on a slow machine: the look says so.
            assert mine == [["cwd", True]] or (mine == [] and out_of_time)
        assert len(looks) == 2
        assert ended == "ended"

    def test_a_path_in_a_server_that_went_silent(self, tmp_path):
        answer = why(tmp_path, FUSE + 'point, server = serve("LOOKUP"); mnt = point / "y"\n' + END)
        assert answer["mount"]["fstype"] == "fuse"
        assert "fuse/y is (no answer" in str(answer["blind"])


def scripted(tmp_path, script):
    code = HEAD + script + "server.kill(); server.wait()\n"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


RUNS = (
    "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.write(1, b'.')\n"
    "while True: os.stat('/')"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_task_that_runs_has_a_stack_for_who_has_its_cpu():
    cpu = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", RUNS, str(cpu)]
    asker = Asker()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as runs:
        try:
            runs.stdout.read(1)
            found = [each for _ in range(20) for each in asker.ask("asleep", runs.pid, True)]
        finally:
            runs.kill()
    running = [stack for _, stat, *_, stack in found if stat.rpartition(b")")[2][1:2] == b"R"]
    assert running
    assert all(running)
    (child,) = asker.pids
    assert os.sched_getaffinity(child) == os.sched_getaffinity(0)
    asker.close()
