"""What `umtrace why` says in words, and which remedies it must not give."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from umtrace.holders.answer import Answer, KernelAnswer
from umtrace.holders.mounts import Mount
from umtrace.model.holders import Holder
from umtrace.present.remedies import remedy
from umtrace.present.why import why_json, why_lines

MOUNT = Mount(
    mnt_id=9, parent=1, dev="0:9", root="/", point="/m", fstype="ext4", source="/dev/a", options=""
)
CWD = Holder(kind="cwd", pid=7, comm="sh", detail="/m")
PASSES = Holder(kind="fd", fd=3, pid=8, comm="cat", detail="/m/x", seen=4, looks=24)
COPY = Holder(kind="cwd", of="copy", pid=7, comm="sh", detail="/m", mntns=5)
OPEN = Holder(kind="fd", fd=3, of="open", pid=7, comm="dd", detail="/dev/a")
FREE, BUSY = (KernelAnswer(said, "asked") for said in ("free", "busy"))


def text(state, *holders, path="/m", mount=MOUNT, **more):
    answer = Answer(path=path, dev="0:9", state=state, mount=mount, holders=holders, **more)
    return "\n".join(why_lines(answer))


@pytest.mark.parametrize("state", ["nobody-seen", "unknown", "superblock"])
def test_nothing_but_the_kernel_calls_a_mount_free(state):
    said = text(state, unseen=("this", "that"))
    assert "Free" not in said
    assert "would succeed" not in said
    if state != "superblock":
        assert "No program can see: this, that." in said
        assert "Next: umtrace why --ask-kernel /m" in said


def test_a_holder_that_nobody_sees():
    said = text("held", kernel=BUSY, unseen=("this", "that"))
    assert "Held: the kernel reports busy. The holder was not seen." in said
    assert "No program can see: this, that." in said
    assert "umtrace record -o F -- umount /m" in said


def test_both_are_said_where_they_disagree():
    assert "The kernel reported free later" in text("held", CWD, kernel=FREE)
    assert "the copies that can be reached" in text("held", COPY, kernel=FREE)


def test_a_refusal_has_its_reason():
    word = KernelAnswer("refused", "asked", "nfs4: it expires them itself")
    assert "was not asked (asked): nfs4: it expires them itself." in text(
        "nobody-seen", kernel=word
    )


def test_an_open_device_and_what_that_keeps_from_working():
    said = text("open", OPEN, path="/dev/a", mount=None)
    assert said.splitlines()[0] == "/dev/a: block device 0:9"
    assert "losetup -d, dmsetup remove" in said
    assert "  pid 7 dd: fd 3 /dev/a" in said
    assert "It may be one of those that have it open." in text(
        "claimed", OPEN, path="/dev/a", mount=None, kernel=BUSY
    )


def test_a_path_that_is_no_mount_point():
    said = text("nobody-seen", path="/m/d").splitlines()
    assert said[0] == "/m/d: not a mount point; it is in /m (ext4)"
    assert said[1].startswith("Not a mount point.")
    assert said[-1] == "Next: umtrace why /m, its mount."


def test_who_passes_by_needs_no_remedy():
    said = text("transient", PASSES)
    assert "kill" not in said
    assert "(4 of 24 samples)" in said
    assert "kill" not in why_json(
        Answer(path="/m", dev="", state="transient", holders=(PASSES,)), 10
    )


def test_no_command_unmounts_a_root_directory():
    own = Holder(kind="mount", of="superblock", detail="/", unmount=("-R", "/"))
    other = Holder(
        kind="mount", of="superblock", detail="/", unmount=("-R", "/"), keeper="x", pid=6
    )
    assert not remedy(own).command
    assert "umount" not in remedy(other).command


def test_a_name_with_blanks_and_control_characters():
    path = "/m/a b'c\x1b[2J"
    said = text("nobody-seen", path=path, mount=None)
    assert "\x1b" not in said
    assert """'/m/a b'"'"'c""" in said
    swap = Holder(kind="swap", detail="/m/a b")
    assert remedy(swap).command == "swapoff '/m/a b'"


def test_the_root_directory_has_no_remedy():
    root = replace(MOUNT, point="/")
    child = Holder(kind="submount", detail="/dev", unmount=("/dev",))
    for whole in (False, True):
        answer = Answer(path="/", dev="0:9", state="held", mount=root, holders=(CWD, child))
        said = "\n".join(why_lines(answer, whole=whole))
        assert "The root directory is in use as long as the system runs." in said
        assert "kill" not in said
        assert "to end" not in said
        assert "Next" not in said
    assert {h["command"] for h in json.loads(why_json(answer, 11))["holders"]} == {None}
    assert "Next" not in text("nobody-seen", path="/d", mount=root)
