"""What ``bpf/mount_fields.h`` reads of a mount at once, by where a kernel has it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from umtrace.sources.bpf.text import bpf_directory

#: of 6.12, as far as it matters here
OFFSETS = {
    "UM_OFF_MOUNT_MNT": 32,
    "UM_OFF_MOUNT_PARENT": 16,
    "UM_OFF_MOUNT_MOUNTPOINT": 24,
    "UM_OFF_VFSMOUNT_ROOT": 0,
    "UM_OFF_VFSMOUNT_SB": 8,
    "UM_OFF_VFSMOUNT_FLAGS": 16,
    "UM_OFF_SB_DEV": 16,
    "UM_OFF_SB_TYPE": 40,
}


def words_read(**offsets):
    """Return which of the two are read as a run of words: "mount", "superblock"."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "a C compiler is needed: apt-get install gcc"
    defines = [f"-D{name}={offset}" for name, offset in {**OFFSETS, **offsets}.items()]
    folder = bpf_directory()
    source = folder / "mount_fields.h"
    command = [compiler, "-E", "-P", *defines, f"-I{folder}/headers/include", source]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    bodies = {name: text.partition(f"void um_read_{what}(")[2].partition("\n}")[0]
              for name, what in (("mount", "mount"), ("superblock", "sb"))}  # fmt: skip
    assert all(re.search("bpf_probe_read_kernel|um_word", body) for body in bodies.values())
    return [name for name, body in bodies.items() if "words[" in body]


def test_what_lies_side_by_side_is_read_at_once():
    assert words_read() == ["mount", "superblock"]


@pytest.mark.parametrize(
    ("offsets", "left"),
    [
        ({"UM_OFF_SB_DEV": 20}, ["mount"]),  # where structs are randomised
        ({"UM_OFF_SB_TYPE": 96}, ["mount"]),
        ({"UM_OFF_VFSMOUNT_FLAGS": 20}, ["superblock"]),
        ({"UM_OFF_MOUNT_MOUNTPOINT": 200}, ["superblock"]),
    ],
)
def test_what_lies_elsewhere_or_across_words_is_read_by_itself(offsets, left):
    assert words_read(**offsets) == left
