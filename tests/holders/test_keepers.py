"""What keeps a mount namespace with a copy of a mount in it: a file, a descriptor, a thread.

Each remedy is executed; then no mount of the superblock may be left anywhere.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.holders.spaces import ASK, only, run

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.usefixtures("alone"),
]


def test_a_namespace_file_alone(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
m = mount(room / "m m", "m"); files = mount(room / "ns", "ns"); file = files / "a file"
file.touch(); child = elsewhere(PRIVATE_COPY)
syscalls.mount(f"/proc/{child.pid}/ns/mnt", str(file), flags=4096); ended(child)
case("file", m, lambda: None)
""",
        )
    )
    assert holder["keeper"] == f"file {tmp_path}/ns/a file"
    assert holder["unmount"] == [f"{tmp_path}/ns/a file"]
    assert "pid" not in holder


def test_a_namespace_file_in_a_namespace_of_another_file(tmp_path):
    found = run(
        tmp_path,
        ASK
        + """
m = mount(room / "m", "m"); files = mount(room / "ns", "ns")
for name in "ab": (files / name).touch()
outer = elsewhere(PRIVATE_COPY + f"os.system('umount {m}')")
syscalls.mount(f"/proc/{outer.pid}/ns/mnt", str(files / "a"), flags=4096)
inner = elsewhere(PRIVATE_COPY)
enter = ["nsenter", "-t", str(outer.pid), "-m"]
subprocess.run([*enter, "mount", "--bind", f"/proc/{inner.pid}/ns/mnt", files / "b"], check=True)
ended(inner); ended(outer)
case("nested", m, lambda: None)
""",
    )
    holder = only(found)
    assert holder["enter"] == [f"--mount={tmp_path}/ns/a"]
    assert holder["unmount"] == [f"{tmp_path}/ns/b"]
    assert " in mount namespace " in holder["keeper"]


def test_an_open_descriptor_alone(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
m = mount(room / "m", "m"); child = elsewhere(PRIVATE_COPY)
keep = elsewhere(f"s.make_private(); os.system('umount {m}')\\n"
    f"f = open('/proc/{child.pid}/ns/mnt')")
ended(child)
case("fd", m, lambda: ended(keep))
""",
        )
    )
    pid, fd = holder["pid"], holder["fd"]
    assert holder["keeper"] == f"fd {fd} of {holder['comm']} (pid {pid})"
    assert holder["enter"] == [f"--mount=/proc/{pid}/fd/{fd}"]


THREAD = """
import ctypes, threading, time
done = threading.Event()
def move():
    s.unshare_mounts(); s.make_private(); s.set_comm("mover"); done.set(); time.sleep(1000)
threading.Thread(target=move, daemon=True).start(); done.wait()
"""


@pytest.mark.parametrize("leader", ["lives", "has ended"])
def test_one_thread_of_a_process(tmp_path, leader):
    ends = "ctypes.CDLL(None).syscall(ctypes.c_long(60), 0)" if leader == "has ended" else ""
    holder = only(
        run(
            tmp_path,
            ASK
            + f"""
m = mount(room / "m", "m")
child = elsewhere({THREAD!r} + "print(1, flush=True)\\n" + {ends!r}, begin="")
case("thread", m, lambda: child.kill())
""",
        )
    )
    assert holder["tid"] != holder["pid"]
    assert holder["comm"] == "mover"
    assert holder["keeper"].startswith(f"thread {holder['tid']} of ")


def test_a_process_in_a_chroot_shows_the_whole_namespace(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
m = mount(room / "m", "m"); jail = mount(room / "jail", "jail")
child = elsewhere(PRIVATE_COPY + f"os.chroot('{jail}/d')")
case("chroot", m, lambda: ended(child))
""",
        )
    )
    assert holder["detail"] == f"{tmp_path}/m"


def test_a_mount_table_that_is_open(tmp_path):
    found = run(
        tmp_path,
        """
m = mount(room / "m", "m"); child = elsewhere("s.make_private()")
keep = elsewhere(f"s.make_private(); os.system('umount {m}')\\n"
    f"f = open('/proc/{child.pid}/mounts')")
ended(child)
answer = ask(m)
umount(m); out.append([[h.to_dict() for h in answer.holders], list(answer.blind), keep.pid])
ended(keep)
out.append(alive(answer.dev))
""",
    )
    ((holders, blind, keeper), left) = found
    assert not left
    if holders:
        assert holders[0]["pid"] == keeper
        assert "a mount table" in holders[0]["keeper"]
    else:  # before Linux 6.12 nothing leads into it
        assert any(f"pid {keeper} pins" in what for what in blind)


def test_namespaces_that_are_not_listed_are_said(tmp_path):
    code = """
import errno, os
from umtrace.holders import nsreader
from umtrace.holders.namespaces import Namespaces
lost = Namespaces.read().lost
try:
    for _ in nsreader.namespaces(): pass
    print("listed", lost)
except OSError as error:
    print(errno.errorcode[error.errno], lost)
"""
    alone = ["unshare", "-m", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    done = subprocess.run(alone, capture_output=True, text=True, check=True)
    word, _, lost = done.stdout.strip().partition(" ")
    said = "['mount namespaces without a process: not listed (EPERM)']"
    assert lost == (said if word == "EPERM" else "[]")
