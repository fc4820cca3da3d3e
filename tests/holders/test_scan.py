"""Looks at real mounts, in a child with a mount namespace of its own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from umtrace.cli.why import EXIT_CODES
from umtrace.exercise import syscalls
from umtrace.holders import procfs
from umtrace.holders.scan import scan
from umtrace.model.holders import ScanRequest

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def in_private_namespace(tmp_path, script):
    """Run Python in a child that may mount; `mnt` is a tmpfs, `scan_it()` looks at it."""
    head = f"""
    import os, socket, subprocess, sys, time
    from pathlib import Path
    from umtrace.exercise import syscalls
    from umtrace.holders.scan import scan
    from umtrace.model.holders import ScanRequest
    syscalls.unshare_mounts(); syscalls.make_private()
    mnt = Path({str(tmp_path)!r}) / "mnt"; mnt.mkdir()
    syscalls.mount("none", str(mnt), "tmpfs"); (mnt / "x").write_text("x")
    def scan_it(path=str(mnt), **more):
        return scan([ScanRequest(umount_id=1, path=path, **more)], budget_s=2)[0]
    def kinds(found):
        return sorted({{(h.kind, h.of, h.stays) for h in found.holders}})
    """
    code = textwrap.dedent(head) + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@root_only
def test_a_relative_path_in_another_namespace_names_nobody(tmp_path):
    out = in_private_namespace(
        tmp_path,
        """
        code = ("import sys; from umtrace.exercise import syscalls as s; s.unshare_mounts();"
                "print(1, flush=True); sys.stdin.read()")
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child = subprocess.Popen([sys.executable, "-c", code], cwd="/", **pipes)
        child.stdout.readline()
        there = os.stat(f"/proc/{child.pid}/ns/mnt").st_ino
        # It has changed to / since it called umount(2).
        found = scan_it(".", pid=child.pid, mntns=there)
        print(kinds(found), found.mounted, found.blind[0])
        child.stdin.close(); child.wait()
        """,
    )
    assert out == ["[] None the directory that the path is relative to"]


@root_only
def test_kinds_of_hold(tmp_path):
    out = in_private_namespace(
        tmp_path,
        """
        print(kinds(scan_it()))
        held = open(mnt / "x"); print(kinds(scan_it())); held.close()
        os.chdir(mnt); print(kinds(scan_it())); os.chdir("/")
        (mnt / "sub").mkdir(); syscalls.mount("none", str(mnt / "sub"), "tmpfs")
        inside = open(mnt / "sub" / "y", "w"); print(kinds(scan_it()))
        print(scan_it().mounted, scan_it("/nowhere").mounted, scan_it(mntns=1).mounted)
        print(scan_it("mnt", pid=os.getpid()).mounted); os.chdir(mnt.parent)
        print(scan_it("mnt", pid=os.getpid()).mounted)
        """,
    )
    assert out == [
        "[]",
        "[('fd', 'mount', True)]",
        "[('cwd', 'mount', True)]",
        "[('submount', 'mount', True)]",
        "True False None",
        "False",
        "True",
    ]


@root_only
def test_a_symbolic_link_on_the_way_and_a_deleted_file(tmp_path):
    out = in_private_namespace(
        tmp_path,
        """
        link = mnt.parent / "link"; link.symlink_to(mnt.parent)
        held = open(mnt / "x"); os.unlink(mnt / "x")
        print(kinds(scan_it(str(link / "mnt") + "/")))
        """,
    )
    assert out == ["[('fd', 'mount', True)]"]


@root_only
def test_names_that_are_not_utf_8(tmp_path):
    """The row has such a path escaped; what is found must fit into a recording."""
    out = in_private_namespace(
        tmp_path,
        """
        from umtrace.model.holders import scans_to_arrow
        from umtrace.model.windows import EbusyWindow, windows_to_arrow
        odd = os.fsencode(mnt.parent) + bytes.fromhex("2fe9"); os.mkdir(odd)
        syscalls.mount("none", os.fsdecode(odd), "tmpfs")
        held = os.open(odd + bytes.fromhex("2ffe"), os.O_CREAT)
        found = scan_it(str(mnt.parent) + "/" + chr(92) + "xe9")
        print(found.mounted, kinds(found), found.holders[0].detail.rpartition("/")[2])
        scans_to_arrow([found])
        windows_to_arrow([EbusyWindow(klass="held", spurious=False, begin_ns=0, end_ns=1,
                                      holders=found.holders)])
        """,
    )
    assert out == [r"True [('fd', 'mount', True)] \xfe"]


CHROOT = """
    jail = mnt.parent / "jail"; jail.mkdir()
    inside = Path(f"{jail}{mnt}"); inside.mkdir(parents=True)
    syscalls.mount("none", str(inside), "tmpfs")
    held = open(mnt / "x")  # by us, through the mount of that name from our root
    child = '''if 1:
        import os, sys
        os.chroot(sys.argv[1]); os.chdir(sys.argv[2]); print(flush=True); sys.stdin.read()'''
    run = [sys.executable, "-c", child, str(jail), str(mnt)]
    process = subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    def found(path=str(mnt), **more):
        found = scan_it(path, pid=process.pid, **more)
        return found.mounted, [(h.kind, h.pid == process.pid) for h in found.holders], found.blind
"""


@root_only
def test_a_path_begins_at_the_root_of_who_unmounts(tmp_path):
    script = """
    print(found()[:2], "root" in str(found()[2]))
    (inside.parent / "link").symlink_to(mnt.parent)
    linked = found(str(mnt.parent / "link" / mnt.name))
    print(linked[:2], "links below another root" in str(linked[2]))
    process.kill(); process.wait()
    print(found()[:2], "root directory" in str(found()[2]))
    held.close(); timed = syscalls.timed_umount(os.fsencode(inside), 0)[2]
    print(timed, found()[:2])
    """
    out = in_private_namespace(tmp_path, textwrap.dedent(CHROOT) + textwrap.dedent(script))
    assert out == [
        "(True, [('cwd', True)]) False",
        "(None, []) True",
        "(None, []) True",
        "0 (True, [])",
    ]


@root_only
def test_the_id_of_the_row_tells_which_mount_it_was(tmp_path):
    script = """
    import ctypes, struct
    from umtrace.holders.mounts import MountTable
    def unique(path):
        buffer = ctypes.create_string_buffer(256)
        ctypes.CDLL(None).statx(-100, os.fsencode(path), 0, 0x4000, buffer)
        mask, number = struct.unpack_from("=I140xQ", buffer)
        return number if mask & 0x4000 else None
    number, other = MountTable.of().at(str(inside)).mnt_id, MountTable.of().at("/proc").mnt_id
    numbers = [number, unique(inside) or number]
    process.kill(); process.wait(); os.chdir(inside)
    for each in numbers:
        print(found(mount_id=each)[0], [(h.kind, h.of) for h in scan_it(mount_id=each).holders])
    for each in (other, 0):  # the number is another's by now, or was not read
        print("root directory" in str(found(mount_id=each)[2]))
    os.chdir("/"); print(syscalls.timed_umount(os.fsencode(inside), 0)[2])
    print(*(found(mount_id=each)[:2] for each in numbers))
    """
    out = in_private_namespace(tmp_path, textwrap.dedent(CHROOT) + textwrap.dedent(script))
    assert out == [
        "True [('cwd', 'mount')]",
        "True [('cwd', 'mount')]",
        "True",
        "True",
        "0",
        "(False, []) (False, [])",
    ]


@root_only
def test_the_copy_that_the_kernel_found_in_use_is_held_by_tasks_of_its_namespace(tmp_path):
    out = in_private_namespace(
        tmp_path,
        """
        child = "from umtrace.exercise import syscalls; import sys; syscalls.unshare_mounts();"
        child += "kept = open(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        held = subprocess.Popen([sys.executable, "-c", child, str(mnt / "x")], **pipes)
        held.stdout.readline()
        there = os.stat(f"/proc/{held.pid}/ns/mnt").st_ino
        for copy in (None, there, 2):  # of the namespace of the umount, nothing is known
            found = scan_it(mntns=1, copy_mntns=copy)
            print(kinds(found), [(h.pid == held.pid, h.match) for h in found.holders])
        held.stdin.close(); held.wait()
        """,
    )
    assert out == ["[] []", "[('fd', 'copy', True)] [(True, 'path+namespace')]", "[] []"]


@root_only
def test_a_copy_counts_only_where_the_parent_is_shared(tmp_path):
    script = """
        if SHARED: syscalls.mount("none", "/", flags=syscalls.MS_SHARED | 0x4000)
        child = '''if 1:
            from umtrace.exercise import syscalls; import sys, time
            syscalls.unshare_mounts(); kept = open(sys.argv[1]); print("in", flush=True)
            time.sleep(9)'''
        run = [sys.executable, "-c", child, str(mnt / "x")]
        with subprocess.Popen(run, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            found = scan_it()
            print(kinds(found), found.holders[0].mntns if found.holders else 0)
            process.kill()
    """
    script = textwrap.dedent(script)
    assert in_private_namespace(tmp_path, "SHARED = 0" + script) == ["[] 0"]
    (tmp_path / "mnt").rmdir()
    (line,) = in_private_namespace(tmp_path, "SHARED = 1" + script)
    assert line.startswith("[('fd', 'copy', True)] 4026")


@root_only
def test_a_loop_device_and_files_in_flight(tmp_path):
    out = in_private_namespace(
        tmp_path,
        """
        from umtrace.exercise.loopback import loop_device
        (mnt / "image").write_bytes(bytes(1 << 20))
        with loop_device(mnt / "image"):
            print(kinds(scan_it()))
        here, there = socket.socketpair()
        with open(mnt / "x") as held:
            socket.send_fds(here, [b"x"], [held.fileno()])
        found = scan_it()
        print(kinds(found), found.complete, [b for b in found.blind if "flight" in b] != [])
        """,
    )
    assert out == ["[('loop', 'mount', True)]", "[] False True"]


@root_only
def test_looking_makes_nothing_busy(tmp_path):
    """Umounts beside a scanner that never stops: none of them may fail."""
    out = in_private_namespace(
        tmp_path,
        """
        import threading
        stop = threading.Event()
        def look():
            while not stop.is_set(): scan_it()
        thread = threading.Thread(target=look); thread.start()
        failed = 0
        for _ in range(400):
            failed += syscalls.timed_umount(os.fsencode(mnt), 0)[2] != 0
            syscalls.mount("none", str(mnt), "tmpfs")
        stop.set(); thread.join(); print(failed)
        """,
    )
    assert out == ["0"]


def test_no_mount_table_of_others_is_opened_while_tracing(monkeypatch):
    opened = []
    real = Path.read_text

    def reading(self, *args, **kwargs):
        opened.append(str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", reading)
    libc = ctypes.CDLL(None)
    audited = []
    sys.addaudithook(lambda event, args: audited.append(args[0]) if event == "open" else None)
    scan([ScanRequest(umount_id=1, path="/dev/shm")])
    assert libc is not None
    names = [name for name in [*opened, *map(str, audited)] if "mount" in Path(name).name]
    assert set(names) <= {"/proc/self/mountinfo"}


def test_a_budget_that_is_over_is_said():
    (found,) = scan([ScanRequest(umount_id=1, path="/")], budget_s=0)
    assert not found.complete
    assert "out of time" in " ".join(found.blind)


def test_own_links_are_seen():
    kinds = {opened.kind for opened in procfs.links(os.getpid())}
    assert kinds == {"cwd", "root", "exe"}
    assert procfs.mntns("self") == Path("/proc/self/ns/mnt").stat().st_ino


def why(*args, **options):
    command = [sys.executable, "-m", "umtrace", "why", "--json", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@root_only
def test_why_names_the_holder_and_the_status(tmp_path):
    with (tmp_path / "x").open("w"):
        done = why(str(tmp_path))
    answer = json.loads(done.stdout)
    assert done.returncode == answer["exit_code"] == EXIT_CODES["held"]
    mine = [h for h in answer["holders"] if h.get("pid") == os.getpid() and h["kind"] == "fd"]
    assert any(str(tmp_path) in holder["detail"] for holder in mine)
    assert all(holder["remedy"] for holder in answer["holders"])


@root_only
def test_why_of_mounts_that_only_share_a_superblock(tmp_path):
    out = in_private_namespace(
        tmp_path,
        """
        import json
        other = mnt.parent / "other"; other.mkdir()
        syscalls.mount(str(mnt), str(other), flags=syscalls.MS_BIND)
        from umtrace.holders.busy_query import BusyQuery
        answer = BusyQuery(str(mnt)).answer()
        print([(h.kind, h.of, h.detail == str(other)) for h in answer.holders])
        with open(other / "x") as held:
            sleeper = subprocess.Popen(["sleep", "9"], stdin=held)
        answer = BusyQuery(str(mnt)).answer(); sleeper.kill(); sleeper.wait()
        print(sorted((h.kind, h.of) for h in answer.holders))
        up = mnt.parent / "up"; up.mkdir(); syscalls.mount("none", str(up), "tmpfs")
        for d in ("u", "w", "m"): (up / d).mkdir()
        options = f"lowerdir={other},upperdir={up}/u,workdir={up}/w"
        syscalls.mount("overlay", str(up / "m"), "overlay", data=options)
        print(sorted((h.kind, h.of) for h in BusyQuery(str(mnt)).answer().holders))
        """,
    )
    assert out == [
        "[('mount', 'superblock', True)]",
        "[('fd', 'superblock'), ('mount', 'superblock')]",
        "[('mount', 'superblock'), ('overlay', 'superblock')]",
    ]


def test_why_of_nothing():
    done = why("/no/such/path")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "umtrace: /no/such/path: no such file or directory\n"


@root_only
def test_why_without_root_says_what_it_cannot_see():
    done = why("/dev/shm", user="nobody")
    answer = json.loads(done.stdout)
    # held is what another process of nobody's can be seen to do
    assert done.returncode in {EXIT_CODES["held"], EXIT_CODES["unknown"]}, answer
    assert answer["blind"]
    assert syscalls.MS_BIND
