"""Mapped files, whose names may be those of other files: the mount behind a mapping decides."""

from __future__ import annotations

import os

import pytest

from tests.holders import spaces
from tests.holders.test_why import FREE, of, why

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

#: maps a file and closes it: Python's own mmap keeps a descriptor
MAPS = """
code = "import ctypes, os, sys; libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p;"\\
       "fd = os.open(sys.argv[1] + '/x', os.O_RDONLY);"\\
       "libc.mmap(None, ctypes.c_long(4096), 1, 2, fd, ctypes.c_long(0)); os.close(fd)"
"""


@pytest.fixture
def named_by_mount():
    """Skip where the kernel does not show the files behind another task's mappings."""
    try:
        for name in os.listdir("/proc/self/map_files")[:1]:  # noqa: PTH208
            os.stat(f"/proc/self/map_files/{name}")  # noqa: PTH116
    except PermissionError:
        pytest.skip("map_files is refused here: no CAP_CHECKPOINT_RESTORE")


def test_a_mapping_in_a_mount_that_another_one_covers_does_not_hold_that(tmp_path, named_by_mount):
    answer = why(tmp_path, MAPS + 'begin(code); syscalls.mount("none", str(mnt), "tmpfs")')
    assert of(answer) == set()
    assert answer["state"] in {*FREE, "unknown"}


def test_nor_if_both_are_of_one_file_system(tmp_path, named_by_mount):
    script = 'begin(code); (mnt / "d").mkdir(); subprocess.run(["mount", "-B", mnt / "d", mnt])'
    answer = why(tmp_path, MAPS + script)
    assert of(answer) == {("mount", "superblock"), ("maps", "superblock")}


def test_a_mapping_in_what_was_unmounted_with_detach_keeps_the_superblock(tmp_path):
    script = """
other = mnt.with_name("other"); other.mkdir(); subprocess.run(["mount", "-B", mnt, other])
begin(code); syscalls.timed_umount(bytes(mnt), 2); mnt = other
"""
    answer = why(tmp_path, MAPS + script)
    assert answer["state"] in {"superblock", "unknown"}  # what other tests leave may be unclear
    assert ("maps", "superblock") in of(answer)
    assert answer["holders"][0]["detail"] == "/x"


def test_a_mapping_in_a_copy_that_is_covered_holds_as_much(tmp_path, named_by_mount):
    script = """
mount(room / "p", "p", SHARED); m = room / "p" / "m"; m.mkdir()
told = ("import sys; from umtrace.exercise import syscalls as s; s.unshare_mounts();"
        f"s.mount('none', {str(room / 'p')!r}, flags={SLAVE}); print(1, flush=True)\\n"
        "for line in sys.stdin: exec(line); print(1, flush=True)")
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", text=True, bufsize=1)
child = subprocess.Popen([sys.executable, "-c", told, str(m)], **pipes); child.stdout.readline()
def there(line):
    print(line, file=child.stdin, flush=True); assert child.stdout.readline(), line
mount(m, "m")
with (m / "x").open("wb") as file: file.truncate(4096)
there(code)
there(f"s.mount('none', {str(m)!r}, 'tmpfs')")
out.append([[h.kind, h.of] for h in ask(m).holders]); out.append(umount(m))
"""
    holders, said = spaces.run(tmp_path, MAPS + script)
    assert ["maps", "copy"] in holders
    assert said == 16  # EBUSY
