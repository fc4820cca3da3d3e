"""Umounts inside of which a mount namespace ends, and mounts of btrfs, each by a task of its own.

    nested_workload.py FOLDER LEDGER

Root, in a guest: FOLDER gets a tmpfs, and /dev/loop0 may be used. LEDGER gets a line of JSON for
each case: the task, and when its calls began and ended (CLOCK_MONOTONIC, ns). CASES has the rows
that a recording must have of each, in the order in which they begin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from umtrace.exercise import syscalls


class Child:
    """A task that does something in a mount namespace of its own, and stays there."""

    def __init__(self, does=lambda: None):
        self._go, up = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._go[1])
            syscalls.unshare_mounts()
            syscalls.make_private()
            does()
            os.write(up[1], b"x")
            os.read(self._go[0], 1)
            os._exit(0)
        os.close(self._go[0])
        os.close(up[1])
        assert os.read(up[0], 1), "the child failed"
        os.close(up[0])

    def keep_by(self, file):
        """Have a file alone keep its namespace."""
        file.touch()
        syscalls.mount(f"/proc/{self.pid}/ns/mnt", str(file), flags=syscalls.MS_BIND)
        os.close(self._go[1])
        os.waitpid(self.pid, 0)
        return file


def with_tmpfs(folder):
    folder.mkdir(exist_ok=True)
    syscalls.mount("none", str(folder), "tmpfs")
    return folder


def umounted(file, flags=0):
    _begin, _took, error = syscalls.timed_umount(os.fsencode(file), flags)
    assert error == 0, os.strerror(error)


def in_umount(place, flags=0):
    """Umount the file that alone keeps a namespace."""
    file = Child(lambda: with_tmpfs(place / "m")).keep_by(place / "ns")
    return lambda: umounted(file, flags)


def in_two_umounts(place):
    """One after the other, by the same task."""
    (place / "1").mkdir()
    (place / "2").mkdir()
    each = [in_umount(place / "1"), in_umount(place / "2", syscalls.MNT_DETACH)]
    return lambda: [umounted() for umounted in each]


def in_the_end_of_another(place):
    """The namespace that ends has in it the file that keeps a second one: three at a time."""

    def holds_another():
        inner = with_tmpfs(place / "m")
        Child(lambda: with_tmpfs(place / "n")).keep_by(inner / "ns")

    file = Child(holds_another).keep_by(place / "ns")
    return lambda: umounted(file)


def of_btrfs(place, options):
    point = place / "m"
    point.mkdir()

    def calls():
        syscalls.mount("/dev/loop0", str(point), "btrfs", data=options)
        umounted(point)

    return calls


INSIDE = ["umount", "ns-exit"]
BTRFS = ["mount-internal", "umount"]
#: how it is prepared, and its rows; the name is that of its task, 15 bytes at most
CASES = {
    "in-umount": (in_umount, INSIDE),
    "in-lazy-umount": (lambda place: in_umount(place, syscalls.MNT_DETACH), INSIDE),
    "in-two-umounts": (in_two_umounts, INSIDE * 2),
    "btrfs": (lambda place: of_btrfs(place, ""), BTRFS),
    "btrfs-subvol": (lambda place: of_btrfs(place, "subvol=/s"), BTRFS),
    # Two are followed: the third is a loss, and the row that it is inside of is marked.
    "in-another-end": (in_the_end_of_another, INSIDE),
}


def run(name, root, ledger):
    """Do one case in a task that has its name."""
    prepare, _rows = CASES[name]
    place = root / name
    place.mkdir()
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0, name
        return
    syscalls.set_comm(name)
    calls = prepare(place)
    begin = time.monotonic_ns()
    calls()
    end = time.monotonic_ns()
    line = {"case": name, "tid": os.getpid(), "begin": begin, "end": end}
    os.write(ledger, json.dumps(line).encode() + b"\n")
    os._exit(0)


def make_btrfs(root):
    image = root / "image"
    with image.open("wb") as file:
        file.truncate(200 << 20)
    point = root / "first"
    point.mkdir()
    for command in (
        ["losetup", "/dev/loop0", image],
        ["mkfs.btrfs", "-q", "/dev/loop0"],
        ["mount", "/dev/loop0", point],
        ["btrfs", "-q", "subvolume", "create", point / "s"],
        ["umount", point],
    ):
        subprocess.run(command, check=True)


def main():
    root = Path(sys.argv[1])
    ledger = os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    root.mkdir()
    syscalls.unshare_mounts()
    syscalls.make_private()
    syscalls.mount("none", str(root), "tmpfs")
    make_btrfs(root)
    for name in CASES:
        run(name, root, ledger)
    subprocess.run(["losetup", "-d", "/dev/loop0"], check=True)


if __name__ == "__main__":
    main()
