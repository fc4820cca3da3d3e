"""`umtrace why --ask-kernel`: what the kernel is asked, once, and what it is not asked."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap

import pytest

from umtrace.holders.answer import KernelAnswer, verdict_of_a_device, verdict_of_a_mount
from umtrace.holders.ask_kernel import refusal
from umtrace.model.holders import Holder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

HEAD = """
import errno, json, os, subprocess, sys, time
from pathlib import Path
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
syscalls.mount("none", "/run", "tmpfs")  # a lock of our own
mnt = Path(sys.argv[1]) / "mnt"; mnt.mkdir()
syscalls.mount("none", str(mnt), "tmpfs"); (mnt / "x").write_text("x" * 4096)
def why(path=mnt, *options, **more):
    command = [sys.executable, "-m", "umtrace", "why", "--json", "--ask-kernel", *options]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, **more)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    return {"state": answer["state"], **(answer["kernel"] or {})}
def expire(path=mnt):
    return syscalls.timed_umount(os.fsencode(path), 4)[2]
answer, more = None, None
"""
TAIL = """
print(json.dumps([answer, more]))
"""


def ask(tmp_path, script):
    """Return what a script leaves in ``answer`` and ``more``."""
    code = textwrap.dedent(HEAD) + textwrap.dedent(script) + TAIL
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_a_free_mount_stays_mounted_and_unmarked(tmp_path):
    # A mark that was left would make the next question of this kind an umount.
    answer, more = ask(tmp_path, "answer = why(); more = [expire(), os.path.ismount(mnt)]")
    assert answer == {"state": "free", "said": "free", "how": "umount2(MNT_EXPIRE)", "why": ""}
    assert more == [errno.EAGAIN, True]


def test_a_mark_of_another_program_is_no_umount(tmp_path):
    answer, more = ask(
        tmp_path, "more = expire(); answer = why(); more = [more, os.path.ismount(mnt)]"
    )
    assert answer["state"] == "free"
    assert more == [errno.EAGAIN, True]


def test_many_at_once_never_unmount(tmp_path):
    answer, more = ask(
        tmp_path,
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            answer = [each.result() for each in [pool.submit(why) for _ in range(12)]]
        more = os.path.ismount(mnt)
        """,
    )
    assert more is True
    # Busy or transient: others of the twelve looked at it in that moment.
    assert {each["said"] for each in answer} <= {"free", "busy", "refused"}


def test_a_held_mount_is_busy_in_every_spelling(tmp_path):
    answer, _ = ask(
        tmp_path,
        """
        held = open(mnt / "x"); (mnt.parent / "link").symlink_to(mnt)
        os.set_inheritable(held.fileno(), False)
        answer = [why(mnt), why(f"{mnt}/"), why(mnt.parent / "link"), why("mnt", cwd=mnt.parent)]
        """,
    )
    assert [(each["state"], each["said"]) for each in answer] == [("held", "busy")] * 4


def test_the_topmost_of_two_mounts_is_asked_about(tmp_path):
    answer, more = ask(
        tmp_path,
        """
        held = open(mnt / "x"); syscalls.mount("none", str(mnt), "tmpfs")
        answer = why(); more = expire()
        """,
    )
    assert (answer["state"], answer["said"], more) == ("free", "free", errno.EAGAIN)


def test_copies_are_asked_about_in_their_namespaces(tmp_path):
    script = """
    top = mnt.parent / "top"; top.mkdir(); syscalls.mount("none", str(top), "tmpfs")
    syscalls.mount("none", str(top), flags=syscalls.MS_SHARED); (top / "mnt").mkdir()
    mnt = top / "mnt"; syscalls.mount("none", str(mnt), "tmpfs")
    code = ("import os, sys; from umtrace.exercise import syscalls; syscalls.unshare_mounts();"
            " HOLD; print(1, flush=True); sys.stdin.read()")
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
    child = subprocess.Popen([sys.executable, "-c", code, str(mnt)], **pipes)
    child.stdout.readline(); answer = why(mnt); child.kill(); child.wait()
    more = os.path.ismount(mnt)
    """
    for hold, expected in [("0", ("free", "free")), ("os.chdir(sys.argv[1])", ("held", "busy"))]:
        directory = tmp_path / expected[0]
        directory.mkdir()
        answer, more = ask(directory, script.replace("HOLD", hold))
        assert ((answer["state"], answer["said"]), more) == (expected, True)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('(mnt / "s").mkdir(); syscalls.mount("n", f"{mnt}/s", "tmpfs"); answer = why()', "below"),
        ('answer = why("/")', "root directory"),
        ('answer = why("/run")', "lock file"),
        ('answer = why(mnt / "x")', "not a mount point"),
        ('Path("/run/umtrace").symlink_to(mnt.parent); answer = why()', "Not a directory"),
        ('os.mkdir("/run/umtrace", 0o777); os.chmod("/run/umtrace", 0o777); answer = why()', "wri"),
        ('os.mkdir("/run/umtrace"); os.chown("/run/umtrace", 1, 1); answer = why()', "belongs to"),
        (
            (
                'os.mkdir("/run/umtrace", 0o700); lock = open("/run/umtrace/lock", "w");'
                " __import__('fcntl').flock(lock, 2); answer = why()"
            ),
            "another umtrace asks",
        ),
        (
            (
                'os.mkdir("/run/umtrace", 0o700); os.symlink("/run/x", "/run/umtrace/lock");'
                " answer = why()"
            ),
            "symbolic links",
        ),
        ("os.chdir(mnt); held = open('x'); answer = why(pass_fds=[held.fileno()])", "itself has"),
    ],
)
def test_what_is_not_asked_says_why(tmp_path, script, why):
    answer, _ = ask(tmp_path, script)
    assert (answer["said"], answer["state"] != "free") == ("refused", True)
    assert why in answer["why"]


@pytest.mark.parametrize("fstype", ["nfs", "nfs4", "cifs", "smb3", "afs"])
def test_mounts_that_the_kernel_expires_itself_are_not_asked_about(fstype):
    assert fstype in refusal(fstype, "/mnt", [])


def test_only_root_may_ask(tmp_path):
    command = [sys.executable, "-m", "umtrace", "why", "--json", "--ask-kernel", "/dev/shm"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, user="nobody", cwd="/"
    )
    answer = json.loads(done.stdout)
    assert answer["kernel"]["why"] == "only root may ask"
    assert answer["state"] != "free"
    assert tmp_path


STAYS, PASSES = Holder(kind="fd", pid=5), Holder(kind="fd", pid=5, seen=1, looks=3)
MOUNT = Holder(kind="mount", of="superblock")


@pytest.mark.parametrize(
    ("holders", "lost", "said", "state"),
    [
        ([], [], "free", "free"),
        ([], ["x"], "free", "free"),
        ([PASSES], [], "free", "free"),
        ([MOUNT], ["x"], "free", "superblock"),
        ([STAYS], [], "free", "held"),  # they disagree, and both are said
        ([], [], "busy", "held"),  # by what nobody can see
        ([MOUNT], [], "busy", "held"),
        ([PASSES], [], "busy", "transient"),
        ([], [], "refused", "nobody-seen"),
        ([], ["x"], "refused", "unknown"),
    ],
)
def test_what_the_kernel_says_decides_with_what_was_seen(holders, lost, said, state):
    kernel = KernelAnswer(said, "asked")
    assert verdict_of_a_mount(holders, {}, lost, n_read=9, kernel=kernel) == state


OPEN, CLAIM = Holder(kind="fd", of="open", pid=5), Holder(kind="swap", of="claim")


@pytest.mark.parametrize(
    ("holders", "lost", "said", "state"),
    [
        ([], [], "", "nobody-seen"),
        ([], ["x"], "", "unknown"),
        ([], [], "free", "nobody-seen"),
        ([], ["x"], "free", "unknown"),  # not claimed; who has it open is not known
        ([OPEN], [], "", "open"),
        ([OPEN], [], "free", "open"),
        ([OPEN], [], "busy", "claimed"),
        ([CLAIM, OPEN], [], "", "claimed"),
        ([], [], "busy", "claimed"),
        ([MOUNT], [], "", "superblock"),
    ],
)
def test_a_device_is_claimed_open_or_nobody_was_seen(holders, lost, said, state):
    kernel = KernelAnswer(said, "asked") if said else None
    assert verdict_of_a_device(holders, {}, lost, n_read=9, kernel=kernel) == state
