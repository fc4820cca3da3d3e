"""`umtrace why` of real mounts: each exit status, and the looks that lead to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from umtrace.cli.why import EXIT_CODES
from umtrace.holders import kernelrefs, procfs
from umtrace.holders.answer import Answer, verdict_of_a_mount
from umtrace.model.holders import Holder
from umtrace.present.remedies import remedy
from umtrace.present.why import why_lines

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.usefixtures("alone"),
]

FREE = {"nobody-seen"}
_TOO_BUSY = "no answer in 1 s"
HEAD = """
import mmap, os, subprocess, sys, threading, time
from pathlib import Path
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
mnt = Path(sys.argv[1]) / "mnt"; mnt.mkdir()
syscalls.mount("none", str(mnt), "tmpfs"); (mnt / "x").write_text("x" * 4096)
def begin(code):
    "Run Python that holds something, until the end; return when it does."
    code += "; print(1, flush=True); sys.stdin.read()"
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child = subprocess.Popen([sys.executable, "-c", code, str(mnt)], cwd="/", **pipes)
    child.stdout.readline()
    return child
"""
TAIL = """
command = [sys.executable, "-m", "umtrace", "why", "--json", str(mnt)]
sys.exit(subprocess.run(command, timeout=100).returncode)
"""


def why(tmp_path, script=""):
    """Return the answer for a tmpfs after a script.

    It is asked for again if some process of this host, which is none of ours, was too busy to be
    read: then the answer is rightly unknown.
    """
    answer = _asked(tmp_path, script)
    for again in ("2", "3"):
        if not any(what.endswith(_TOO_BUSY) for what in answer["blind"]):
            break
        (tmp_path / again).mkdir()
        answer = _asked(tmp_path / again, script)
    return answer


def _asked(tmp_path, script):
    code = textwrap.dedent(HEAD) + textwrap.dedent(script) + TAIL
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    assert done.returncode == answer["exit_code"] == EXIT_CODES[answer["state"]]
    return answer


def of(answer):
    return {(holder["kind"], holder["of"]) for holder in answer["holders"]}


def test_a_mount_that_nobody_holds(tmp_path):
    answer = why(tmp_path)
    assert answer["state"] in FREE, answer
    assert not answer["holders"]


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("fd", "held = begin('import sys; f = open(sys.argv[1] + \"/x\")')"),
        ("cwd", "held = begin('import os, sys; os.chdir(sys.argv[1])')"),
        ("root", "held = begin('import os, sys; os.chroot(sys.argv[1])')"),
        (
            "maps",
            """
            held = begin("import mmap, os, sys; fd = os.open(sys.argv[1] + '/x', os.O_RDWR);"
                         " m = mmap.mmap(fd, 0); os.close(fd)")
            """,
        ),
        (
            "socket",
            """
            held = begin("import os, socket, sys; s = socket.socket(socket.AF_UNIX);"
                         " s.bind(sys.argv[1] + '/s'); os.unlink(sys.argv[1] + '/s')")
            """,
        ),
        ("submount", "(mnt / 's').mkdir(); syscalls.mount('none', str(mnt / 's'), 'tmpfs')"),
    ],
)
def test_each_kind_of_hold_is_named(tmp_path, kind, how):
    answer = why(tmp_path, how)
    assert answer["state"] == "held", answer
    assert (kind, "mount") in of(answer)
    assert answer["retry_would_do"] is False


def test_a_copy_in_another_namespace_is_held(tmp_path):
    answer = why(
        tmp_path,
        """
        top = mnt.parent / "top"; top.mkdir()
        syscalls.mount("none", str(top), "tmpfs")
        syscalls.mount("none", str(top), flags=syscalls.MS_SHARED)
        (top / "mnt").mkdir(); mnt = top / "mnt"
        syscalls.mount("none", str(mnt), "tmpfs"); (mnt / "x").write_text("x")
        held = begin("import sys; from umtrace.exercise import syscalls;"
                     " syscalls.unshare_mounts(); f = open(sys.argv[1] + '/x')")
        """,
    )
    assert answer["state"] == "held", answer
    assert ("fd", "copy") in of(answer)


MOVED = """
top, below = mnt.parent / "top", mnt.parent / "below"
top.mkdir(); below.mkdir()
syscalls.mount("TOP", str(top), "tmpfs"); (top / "x").write_text("x" * 4096)
syscalls.mount("BELOW", str(below), "tmpfs")
syscalls.mount(str(top), str(below), flags=0x2000)  # MS_MOVE: the older one is on top now
mnt = below
"""


def test_a_mount_moved_on_top_of_a_newer_one(tmp_path):
    answer = why(tmp_path, MOVED)
    assert answer["mount"]["source"] == "TOP"
    assert answer["state"] in FREE, answer


def test_who_holds_a_mount_moved_on_top_of_a_newer_one(tmp_path):
    hold = """held = begin('import sys; f = open(sys.argv[1] + "/x")')"""
    answer = why(tmp_path, MOVED + hold)
    assert answer["state"] == "held", answer
    assert ("fd", "mount") in of(answer)


@pytest.mark.parametrize(
    "name",
    ["\x0c", "\x1c", "\u0085", "\u2028", "\r", "\n", " ", "\\", "\\012", "\udcff"],
    ids=ascii,
)
def test_any_name_of_a_mount_point(tmp_path, name):
    named = f"""
    odd = mnt.parent / {f"a{name}b"!a}; odd.mkdir(); mnt = odd
    syscalls.mount("none", str(mnt), "tmpfs"); (mnt / "x").write_text("x" * 4096)
    held = begin("import mmap, sys; f = open(sys.argv[1] + '/x', 'r+b');"
                 " m = mmap.mmap(f.fileno(), 0)")
    """
    answer = why(tmp_path, named)
    assert answer["mount"]["point"] == answer["path"]
    assert answer["path"].endswith(f"/a{name}b")
    assert of(answer) == {("fd", "mount"), ("maps", "mount")}


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        (
            "mount",
            """
            held = begin("import sys; from umtrace.exercise import syscalls;"
                         " syscalls.unshare_mounts(); syscalls.make_private()")
            """,
        ),
        (
            "overlay",
            """
            up = mnt.parent / "up"; up.mkdir(); syscalls.mount("none", str(up), "tmpfs")
            for name in ("u", "w", "m"): (up / name).mkdir()
            options = f"lowerdir={mnt},upperdir={up}/u,workdir={up}/w"
            syscalls.mount("overlay", str(up / "m"), "overlay", data=options)
            """,
        ),
    ],
)
def test_what_keeps_only_the_superblock(tmp_path, kind, script):
    answer = why(tmp_path, script)
    assert answer["state"] == "superblock", answer
    assert (kind, "superblock") in of(answer)
    assert answer["retry_would_do"] is True


def test_the_backing_file_of_a_loop_device(tmp_path):
    if not os.path.exists("/dev/loop-control"):  # noqa: PTH110
        pytest.skip("no loop devices here: modprobe loop")
    answer = why(
        tmp_path,
        """
        from umtrace.exercise.loopback import loop_device
        with (mnt / "image").open("wb") as file: file.truncate(1 << 20)
        attached = loop_device(mnt / "image"); attached.__enter__()
        """,
    )
    assert answer["state"] == "held", answer
    assert ("loop", "mount") in of(answer)


def test_a_file_opened_and_closed_all_the_time_is_no_holder(tmp_path):
    script = """
    held = begin("import os, sys, threading, time; f = sys.argv[1] + '/x';"
                 " shut = lambda fd: (time.sleep(0.001), os.close(fd), time.sleep(0.001));"
                 " loop = lambda: [shut(os.open(f, os.O_RDONLY)) for _ in iter(int, 1)];"
                 " threading.Thread(target=loop, daemon=True).start()")
    """
    for number in range(60):  # it may be out at the moment of every look
        directory = tmp_path / str(number)
        directory.mkdir()
        answer = why(directory, script)
        assert answer["state"] in {"transient", *FREE}
        if answer["state"] == "transient":
            assert answer["retry_would_do"] is True
            return
    pytest.fail("a file that is open half of the time was not seen in 60 tries")


def test_a_stat_loop_leaves_no_trace(tmp_path):
    script = """
    held = begin("import os, sys, threading; f = sys.argv[1] + '/x';"
                 " loop = lambda: [os.stat(f) for _ in iter(int, 1)];"
                 " threading.Thread(target=loop, daemon=True).start()")
    """
    assert why(tmp_path, script)["state"] in FREE


STAYS = Holder(kind="fd", pid=5, seen=3, looks=3)
PASSES = Holder(kind="fd", pid=5, seen=1, looks=3)
MANY = dict.fromkeys(range(9), "x")


@pytest.mark.parametrize(
    ("holders", "unread", "lost", "state"),
    [
        ([], {}, [], "nobody-seen"),
        ([], {1: "init"}, [], "nobody-seen"),
        ([], dict.fromkeys(range(3), "x"), [], "unknown"),  # as many as could be read
        ([], MANY, [], "unknown"),
        ([], {}, ["files in flight in a socket of pid 4"], "unknown"),
        ([PASSES], {1: "init"}, [], "transient"),
        ([PASSES], MANY, [], "unknown"),
        ([STAYS], MANY, ["something"], "held"),
        ([Holder(kind="mount", of="superblock")], {}, [], "superblock"),
    ],
)
def test_what_is_not_seen_decides_with_what_is(holders, unread, lost, state):
    assert verdict_of_a_mount(holders, unread, lost, n_read=3) == state


def test_kernel_threads_hold_nothing():
    command = [sys.executable, "-m", "umtrace", "why", "--json", "/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    listed = json.loads(done.stdout)["holders"]
    assert done.returncode == EXIT_CODES["held"]
    assert not [h for h in listed if procfs.is_kernel_thread(h.get("pid") or 0)]


EXPORTS = """\
#path domain(flags)
/tmp/x\t*(rw,no_root_squash,sync,no_wdelay,fsid=1)
# /srv/gone\t10.0.0.0/8(rw)
/srv/two\\040words\t10.0.0.0/8(ro,root_squash,sync,wdelay)
"""


def test_what_the_nfs_server_exports_is_held():
    assert list(kernelrefs.exported(EXPORTS)) == [
        ("/tmp/x", "*"),
        ("/srv/two words", "10.0.0.0/8"),
    ]


def test_a_swap_file_of_any_name(monkeypatch, tmp_path):
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    line = "/s/a\u2028b\x0cc\\040\udcff" + " " * 20 + "file\t\t1020\t\t0\t\t-2\n"
    (tmp_path / "swaps").write_bytes(os.fsencode(head + line))
    monkeypatch.setattr(kernelrefs, "_SWAPS", tmp_path / "swaps")
    found = [path for kind, path, _ in kernelrefs.kernel_files() if kind == "swap"]
    assert found == ["/s/a\u2028b\x0cc \udcff"]


def test_how_to_end_an_export(monkeypatch, tmp_path):
    (tmp_path / "content").write_text(EXPORTS)
    monkeypatch.setattr(kernelrefs, "_EXPORTS", tmp_path / "content")
    assert ("nfs-export", "/tmp/x", "*") in set(kernelrefs.kernel_files())
    holder = Holder(kind="nfs-export", comm="*", detail="/tmp/x")
    assert remedy(holder).command == "exportfs -u '*:/tmp/x'; exportfs -f"


def test_no_path_is_not_the_working_directory():
    command = [sys.executable, "-m", "umtrace", "why", ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "PATH is empty" in done.stderr


def test_a_working_directory_that_was_removed(tmp_path):
    code = """
import os, subprocess, sys
os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])
for path in ("/proc", "."):
    done = subprocess.run([sys.executable, "-m", "umtrace", "why", path], capture_output=True)
    print(done.returncode, done.stderr.decode().strip())
"""
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(gone)], capture_output=True, text=True, check=True
    )
    absolute, relative = done.stdout.splitlines()
    assert absolute.split()[0] not in {"1", "2"}
    assert relative == "2 umtrace: .: the working directory was removed; change to another"


def test_a_process_has_one_line_whatever_it_holds():
    maps = [Holder(kind="maps", pid=7, comm="sh", detail=f"/m/lib{n}") for n in range(60)]
    files = [Holder(kind="fd", fd=n, pid=7, comm="sh", detail=f"/m/f{n}") for n in (9, 3)]
    cwd = Holder(kind="cwd", pid=8, comm="top", detail="/m")
    swap = Holder(kind="swap", comm="swap", detail="/m/swap")
    layer = Holder(kind="overlay", of="superblock", detail="lower layer /m/l of /o")
    answer = Answer(path="/m", dev="0:1", state="held", holders=(*maps, *files, cwd, swap, layer))
    lines = list(why_lines(answer))
    assert "  pid 7 sh: fd 3 9, 60 mapped files /m/lib0 and others" in lines
    assert "  pid 8 top: cwd /m" in lines
    assert "    to end them: kill 7 8" in lines
    assert "  swap: /m/swap" in lines
    assert "  overlay: lower layer /m/l of /o" in lines


def test_many_holders_have_a_short_answer_and_a_whole_one():
    deep = "/m/" + "d/" * 60 + "end"
    tasks = [Holder(kind="fd", fd=3, pid=n, comm="sh", detail=deep) for n in range(100, 800)]
    layers = [Holder(kind="overlay", of="superblock", detail=deep) for _ in range(90)]
    more = [Holder(kind=kind, detail="/m/x") for kind in ("swap", "loop", "uprobe", "submount")]
    every = (*tasks, *more, *layers)
    answer = Answer(path="/m", dev="0:1", state="held", holders=every, blind=("x",) * 99)
    short, whole = list(why_lines(answer)), list(why_lines(answer, whole=True))
    assert len(short) <= 30
    assert max(len(line) for line in short if deep[-70:] not in line) <= 80
    assert any(line.endswith("/end") for line in short)
    assert "  and 695 more: --all" in short
    assert sum("fd 3" in line and deep in line for line in whole) == 700
    assert any("kill 100 " in line and " 799" in line for line in whole)


def test_a_uprobe_event_holds_its_file(monkeypatch, tmp_path):
    (tmp_path / "events").write_text(
        "p:umt/x /m/sl:0x0000000000001000 arg1=%ax\nr:g/y /m/b:c:0x0000000000000010\n"
    )
    monkeypatch.setattr(kernelrefs, "_UPROBES", (tmp_path / "none", tmp_path / "events"))
    found = [each for each in kernelrefs.kernel_files() if each[0] == "uprobe"]
    assert found == [("uprobe", "/m/sl", "umt/x"), ("uprobe", "/m/b:c", "g/y")]
    holder = Holder(kind="uprobe", comm="umt/x", detail="/m/sl")
    assert remedy(holder).command == "echo -:umt/x >> /sys/kernel/tracing/uprobe_events"
