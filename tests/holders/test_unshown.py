"""Holders that no descriptor shows: each holds a real mount, and the advice is followed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.holders.test_asker import FUSE
from tests.holders.test_why import HEAD
from umtrace.holders import served, waitcalls
from umtrace.present.remedies import remedy

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.usefixtures("alone"),
]

#: what is asked, what umount said before, and whether it worked after the advice was followed
TAIL = """
def umount():
    return subprocess.run(["umount", str(mnt)], capture_output=True, text=True)
import json, shlex
busy = umount()
command = [sys.executable, "-m", "umtrace", "why", "--json", str(mnt)]
answer = json.loads(subprocess.run(command, timeout=100, stdout=subprocess.PIPE).stdout)
def ours(pid):
    "Whether it is none of another test, which may be a suspect as well."
    try: return pid is None or os.getsid(pid) == os.getsid(0)
    except ProcessLookupError: return False
answer["holders"] = [h for h in answer["holders"] if ours(h.get("pid"))]
ends = [h["command"] for h in answer["holders"] if h.get("command")]
if act:
    for end in dict.fromkeys(ends):
        subprocess.run(end, shell=True, check=True)
    for _ in range(600):
        if umount().returncode == 0: break
        time.sleep(0.1)
    else: raise SystemExit(f"still busy after {ends}: {umount().stderr}")
print(json.dumps([busy.returncode, answer]))
"""


def asked(tmp_path, script, *, act=True):
    """Return the answer for a mount that is busy after a script, once the advice has helped."""
    code = textwrap.dedent(HEAD) + f"act = {act}\n" + textwrap.dedent(script) + TAIL
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    busy, answer = json.loads(done.stdout)
    assert busy == 32  # umount(8): it failed
    return answer


def found(answer, kind):
    holders = [holder for holder in answer["holders"] if holder["kind"] == kind]
    assert holders, answer
    return holders[0]


BINFMT = """
misc = mnt.parent / "misc"; misc.mkdir()
syscalls.mount("none", str(misc), "binfmt_misc")
import atexit, shutil, uuid
name = "umt-" + uuid.uuid4().hex
def forget():
    entry = misc / name
    if entry.exists(): entry.write_text("-1")
atexit.register(forget)
shutil.copy("/bin/true", mnt / "interpreter")
def register(path, flags="F"):
    (misc / "register").write_text(f":{name}:M::{name}::{path}:{flags}")
"""
needs_binfmt = pytest.mark.skipif(
    "binfmt_misc" not in Path("/proc/filesystems").read_text(encoding="utf-8"),
    reason="no binfmt_misc: modprobe binfmt_misc",
)


@needs_binfmt  # one list of entries for the whole host
@pytest.mark.parametrize(
    "how",
    [
        "register(mnt / 'interpreter')",
        "register(mnt / 'interpreter'); (mnt / 'interpreter').unlink()",
        "register(mnt / 'interpreter', 'OCF'); (misc / name).write_text('0')",
        "(mnt.parent / 'way').symlink_to(mnt); register(mnt.parent / 'way' / 'interpreter')",
    ],
    ids=["plain", "deleted", "switched off", "by a link"],
)
def test_an_interpreter_that_binfmt_misc_keeps_open(tmp_path, how):
    answer = asked(tmp_path, BINFMT + how)
    assert answer["state"] == "held"
    assert "/misc/umt-" in found(answer, "binfmt")["comm"]


@needs_binfmt
def test_an_interpreter_the_mount_of_which_was_moved(tmp_path):
    moved = """
    other = mnt.parent / "other"; other.mkdir()
    register(mnt / "interpreter"); syscalls.mount(str(mnt), str(other), flags=0x2000)  # MS_MOVE
    mnt = other
    """
    answer = asked(tmp_path, BINFMT + textwrap.dedent(moved))
    assert (answer["state"], found(answer, "binfmt")["of"]) == ("unknown", "suspect")


@needs_binfmt
def test_an_interpreter_of_another_mount_or_one_opened_when_it_runs_is_no_holder(tmp_path):
    for number, how in enumerate(("register('/bin/true')", "register(mnt / 'interpreter', 'O')")):
        directory = tmp_path / str(number)
        directory.mkdir()
        busy = "held = begin('import sys; f = open(sys.argv[1] + \"/x\")')\n"
        answer = asked(directory, BINFMT + how + "\n" + busy)
        assert {holder["kind"] for holder in answer["holders"]} == {"fd"}


WATCHER = """
held = begin('''if 1:
    import ctypes, os, sys
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(CLASS, os.O_RDONLY)
    done = libc.fanotify_mark(group, 1 | MARK, ctypes.c_uint64(0x20), -100, sys.argv[1].encode())
    assert group >= 0 and done == 0, ctypes.get_errno()''')
"""


@pytest.mark.parametrize(("mark", "state"), [("0x10", "held"), ("0x100", "unknown")])
def test_events_of_a_fanotify_group_that_are_not_read(tmp_path, mark, state):
    script = WATCHER.replace("MARK", mark).replace("CLASS", "0") + "(mnt / 'x').read_text()\n"
    answer = asked(tmp_path, script)
    assert answer["state"] == state
    assert found(answer, "fanotify")["of"] == ("mount" if state == "held" else "suspect")


def test_a_fanotify_group_that_has_read_its_events_is_no_holder(tmp_path):
    busy = 'other = begin(\'import sys; f = open(sys.argv[1] + "/x", "a")\')\n'
    marked = WATCHER.replace("MARK", "0x10").replace("CLASS", "0")
    answer = asked(tmp_path, marked + busy.replace('"a"', '"a"'), act=False)
    kinds = {holder["kind"] for holder in answer["holders"]}
    assert kinds <= {"fd", "fanotify"}
    silent = WATCHER.replace("MARK", "0x10").replace("CLASS", "0").replace("0x20", "0x2")
    directory = tmp_path / "other"
    directory.mkdir()
    answer = asked(directory, silent + busy)
    assert {holder["kind"] for holder in answer["holders"]} == {"fd"}


RING = """
held = begin('''if 1:
    import ctypes, mmap, os, sys
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long] * 5
    params = ctypes.create_string_buffer(120)
    ring = libc.syscall(425, 8, ctypes.addressof(params), 0, 0)
    file = os.open(sys.argv[1] + "/x", os.O_RDONLY)
    both = (ctypes.c_int * 2)(file, -1)
    assert ring >= 0 and libc.syscall(427, ring, 2, ctypes.addressof(both), 2) == 0
    os.close(file)''')
"""


CLOSED_RING = RING.replace(
    "    os.close(file)''')",
    """    os.close(file)
    libc.mmap.argtypes = [ctypes.c_long] * 6  # Python's own keeps a copy of the descriptor
    libc.mmap(0, 4096, 3, mmap.MAP_SHARED, ring, 0x10000000)
    os.close(ring)''')""",
)


def test_a_ring_of_which_only_the_memory_is_left(tmp_path):
    assert "os.close(ring)" in CLOSED_RING
    answer = asked(tmp_path, CLOSED_RING)
    holder = found(answer, "io-uring")
    assert (answer["state"], holder["of"]) == ("unknown", "suspect")


def test_a_file_registered_in_an_idle_ring(tmp_path):
    answer = asked(tmp_path, RING)
    holder = found(answer, "io-uring")
    assert holder["pid"]
    assert holder["comm"].startswith("python")
    # Whole path: known where. Last component alone, as on 6.12: it may be this one.
    whole = holder["detail"].startswith("/")
    assert answer["state"] == ("held" if whole else "unknown")


IN_FLIGHT = """
held = begin('''if 1:
    import array, os, socket, sys
    a, b = socket.socketpair()
    fd = os.open(sys.argv[1] + "/x", os.O_RDONLY)
    a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    os.close(fd)''')
"""


def test_a_descriptor_that_nobody_has_received(tmp_path):
    answer = asked(tmp_path, IN_FLIGHT)
    holder = found(answer, "in-flight")
    assert answer["state"] == "held"
    assert (holder["of"], holder["comm"][:6]) == ("mount", "python")
    assert holder["detail"].endswith("/x")
    assert "in flight in socket:[" in holder["note"]


def test_a_descriptor_in_flight_of_another_mount_is_no_suspect(tmp_path):
    elsewhere = IN_FLIGHT.replace('sys.argv[1] + "/x"', '"/dev/null"')
    cwd = """
held_too = begin('import os, sys; os.chdir(sys.argv[1])')
"""
    answer = asked(tmp_path, elsewhere + cwd)
    assert answer["state"] == "held"
    assert {holder["kind"] for holder in answer["holders"]} == {"cwd"}


CONTEXT = """
held = begin('''if 1:
    import os, sys
    from umtrace.kernel.syscalls import FSCONFIG, FSOPEN, syscall
    context = syscall(FSOPEN, b"overlay\\\\0", 1)
    lower = os.open(sys.argv[1], os.O_PATH)
    syscall(FSCONFIG, context, 1, b"lowerdir\\\\0", sys.argv[1].encode() + b"\\\\0", 0)
    os.close(lower)''')
"""


def test_a_file_system_that_is_being_set_up(tmp_path):
    answer = asked(tmp_path, CONTEXT)
    holder = found(answer, "fscontext")
    assert (answer["state"], holder["of"]) == ("unknown", "suspect")
    assert holder["fd"] is not None


needs_fuse = pytest.mark.skipif(
    not Path("/dev/fuse").exists(), reason="no /dev/fuse: modprobe fuse"
)
SILENT = FUSE + 'point, server = serve("LOOKUP"); mnt = point\n'
STAT = """
import signal
walker = subprocess.Popen(["stat", str(point / "y")], stderr=subprocess.DEVNULL)
server.stdout.readline()
"""


@needs_fuse
@pytest.mark.parametrize("killed", ["", "walker.kill()\n"], ids=["waits", "killed"])
def test_a_task_that_hangs_in_a_path_walk_on_a_silent_server(tmp_path, killed):
    answer = asked(tmp_path, SILENT + STAT + killed)
    holder = found(answer, "walk")
    assert (answer["state"], holder["of"], holder["comm"]) == ("held", "mount", "stat")
    assert holder["detail"].endswith("/fuse/y")
    assert holder["command"].endswith("/abort")


FIFO = "f = os.open(sys.argv[1] + '/fifo', os.O_RDWR)"
SOCKET = "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + '/s'); s.listen(); f = s.fileno()"
SPLICE = "ctypes.CDLL(None).splice, args=(f, None, os.pipe()[1], None, 1, 0)"
POLL = "lambda: ctypes.CDLL(None).poll(struct.pack('ihhihh', -1, 0, 0, f, 1, 0), 2, -1)"


@pytest.mark.skipif(not waitcalls.KNOWN, reason="system calls of this machine are not known")
@pytest.mark.parametrize(
    ("opens", "target", "call"),
    [
        (FIFO, "os.read, args=(f, 1)", "read"),
        (FIFO, POLL, "poll"),
        (FIFO, "select.select, args=([f], [], [])", "select"),
        (FIFO, SPLICE, "splice"),
        (SOCKET, "s.accept", "accept"),
    ],
)
def test_a_file_that_a_thread_waits_on_and_another_has_closed(tmp_path, opens, target, call):
    script = f"""
    os.mkfifo(mnt / "fifo")
    held = begin("import ctypes, os, select, socket, struct, sys, threading, time; {opens};"
                 " threading.Thread(target={target}, daemon=True).start();"
                 " time.sleep(1); os.close(f)")
    """
    answer = asked(tmp_path, script)
    holder = found(answer, "walk")
    assert (answer["state"], holder["of"]) == ("unknown", "suspect")
    assert call in holder["detail"].split()[0]
    assert "closed meanwhile" in holder["detail"]


@needs_fuse
def test_a_walk_by_a_relative_path_and_by_a_descriptor(tmp_path):
    walk = """
    import ctypes
    way = os.open(mnt.parent, os.O_PATH)
    code = "import os, sys; os.stat('fuse/y', dir_fd=int(sys.argv[1]))"
    run = [sys.executable, "-c", code, str(way)]
    walker = subprocess.Popen(run, pass_fds=[way], stderr=subprocess.DEVNULL)
    server.stdout.readline()
    """
    answer = asked(tmp_path, SILENT + textwrap.dedent(walk))
    assert (answer["state"], found(answer, "walk")["of"]) == ("held", "mount")


def test_a_task_that_waits_for_the_other_end_of_a_fifo(tmp_path):
    script = """
    os.mkfifo(mnt / "fifo")
    reader = subprocess.Popen(["cat", str(mnt / "fifo")])
    """
    wait = FUSE[FUSE.index("def wait_for") :] + "in_call(reader, 2, 56, 257)\n"
    answer = asked(tmp_path, textwrap.dedent(script) + wait)
    holder = found(answer, "walk")
    assert (answer["state"], holder["comm"]) == ("held", "cat")
    assert holder["detail"].endswith("/mnt/fifo")


def test_what_needs_its_file_is_listed_by_mount():
    from umtrace.holders.claims import ListedMount
    from umtrace.holders.images import images
    from umtrace.holders.mounts import parse

    text = (
        "30 20 0:51 / /layer ro - erofs /store/layer.erofs ro\n"
        "31 20 7:3 / /other ro - erofs /dev/loop3 ro\n"
        "32 20 0:52 / /secret rw - ecryptfs /lower rw\n"
    )
    claims = list(images(ListedMount(mount) for mount in parse(text)))
    assert [(c.path, c.detail) for c in claims] == [
        ("/store/layer.erofs", "/layer"),
        ("/lower", "/secret"),
    ]


STATES = """\
- 0x01: { type: open, access: r-, deny: --, superblock: "fd:10:13649", filename: "a/b \\"c\\"" }
- 0x02: { type: deleg, access: r, superblock: "00:2c:1", filename: "x", owner: "y" }
- 0x03: { type: layout, superblock: "00:2d:1" }
"""


def test_what_nfs_clients_have_open():
    found = list(served.nfs_opens(STATES))
    assert [dev for dev, _ in found] == ["253:16", "0:44", "0:45"]
    assert [name for _, name in found][1:] == ["x", ""]


TARGET = """
import atexit
with (mnt / "disk").open("wb") as file: file.truncate(1 << 20)
config = mnt.parent / "config"; config.mkdir(); syscalls.mount("none", str(config), "configfs")
store = Path("/sys/kernel/config/target/core/fileio_0") / f"umt{os.getpid()}"
if not Path("/sys/kernel/config/target").exists():
    syscalls.mount("none", "/sys/kernel/config", "configfs")
store.mkdir(parents=True)
atexit.register(lambda: store.exists() and store.rmdir())
(store / "control").write_text(f"fd_dev_name={mnt}/disk,fd_dev_size=1048576")
(store / "enable").write_text("1")
"""


@pytest.mark.skipif(
    not Path("/sys/module/target_core_file").exists(),
    reason="no target_core_file: modprobe target_core_file",
)
def test_the_file_of_an_iscsi_target(tmp_path):
    answer = asked(tmp_path, TARGET)
    assert (answer["state"], found(answer, "target")["of"]) == ("held", "mount")


def test_targets_that_keep_files(monkeypatch, tmp_path):
    lio = tmp_path / "target/core/fileio_0/disk"
    nvme = tmp_path / "nvmet/subsystems/s/namespaces/1"
    off = tmp_path / "nvmet/subsystems/s/namespaces/2"
    for folder in (lio, nvme, off):
        folder.mkdir(parents=True)
    (lio / "info").write_text("Status: ACTIVATED\n  TCM FILEIO ID: 0  File: /m/a b  Size: 1 Mode\n")
    for folder, on in ((nvme, 1), (off, 0)):
        (folder / "enable").write_text(f"{on}\n")
        (folder / "device_path").write_text("/m/nvme\n")
    monkeypatch.setattr(served, "_CONFIG", tmp_path)
    claims = {(claim.kind, claim.path): claim for claim in served.served()}
    assert set(claims) == {("target", "/m/a b"), ("nvmet", "/m/nvme")}
    holder = claims["nvmet", "/m/nvme"].holder("mount", "path")
    assert remedy(holder).command == f"echo 0 > {nvme}/enable"
