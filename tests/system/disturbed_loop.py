"""A tight loop of mounts, umounts and claims of a device, whose results others must not change.

``python -m tests.system.disturbed_loop ROOM`` runs in a mount namespace of its own until its input
ends. It prints a line of JSON when the loop has begun, and a line with all results at the end.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.system.pins import Place, place
from umtrace.exercise import syscalls

LOOP_SET_FD, LOOP_CLR_FD, LOOP_GET_STATUS64 = 0x4C00, 0x4C01, 0x4C05
LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81
MNT_EXPIRE = 4
HELD_S = 0.002
#: long enough for a scan to find the holder; a path is scanned every 100 ms at most
HELD_LONG_S, HELD_LONG_EVERY = 0.15, 4
TMPFS_ROUNDS = 5
#: above the numbers that LOOP_CTL_GET_FREE gives to others
NUMBERS = range(200, 240)
#: what each step returns if nobody disturbs it
EXPECTED = {
    "umount of a busy mount": errno.EBUSY,
    "umount of a busy ext4": errno.EBUSY,
    "umount of a held mount": errno.EBUSY,
    "first expire": errno.EAGAIN,
    "status after losetup -d": errno.ENXIO,
    "expire of the kept mount": errno.EAGAIN,
}


class Loop:
    """Counts each step by its errno, and notes the mounts and the device that it makes."""

    def __init__(self, room: Path) -> None:
        self.counts: dict[str, Counter[int]] = defaultdict(Counter)
        self.places: set[Place] = set()
        self.mnt, self.long, self.kept, store = (
            room / name for name in ("mnt", "mnt-held-long", "kept", "store")
        )
        for folder in (self.mnt, self.long, self.kept, store):
            folder.mkdir()
            syscalls.mount("none", str(folder), "tmpfs")
        for folder in (self.mnt, self.long):
            syscalls.timed_umount(os.fsencode(folder), 0)
        os.close(self._note_a_file(self.kept))
        self._image = os.open(store / "image", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        os.truncate(self._image, 4 << 20)
        self._control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        self._number = self._new_device()
        self.node = f"/dev/loop{self._number}"
        self._rdev = place(self.node).rdev

    def _new_device(self) -> int:
        for number in NUMBERS:
            with suppress(FileExistsError):
                return fcntl.ioctl(self._control, LOOP_CTL_ADD, number)
        raise RuntimeError("no number of a loop device is free")

    def close(self) -> None:
        """Leave no mount and no loop device."""
        for folder in (self.mnt, self.long, self.kept):
            syscalls.timed_umount(os.fsencode(folder), syscalls.MNT_DETACH)
        with suppress(OSError):
            self._detach()
        os.close(self._image)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with suppress(OSError):
                fcntl.ioctl(self._control, LOOP_CTL_REMOVE, self._number)
                return
            time.sleep(0.01)

    def tmpfs(self) -> None:
        """Unmount a free mount, a busy one, and one that expires."""
        self._mount_tmpfs()
        self._umount("umount of a free mount", self.mnt)
        self._mount_tmpfs()
        self._hold("umount of a busy mount", self.mnt, HELD_S)
        self._umount("umount of a mount that was busy", self.mnt)
        self._mount_tmpfs()
        self._umount("first expire", self.mnt, MNT_EXPIRE)
        self._umount("second expire", self.mnt, MNT_EXPIRE)
        syscalls.timed_umount(os.fsencode(self.mnt), 0)  # if an expire failed

    def held_long(self) -> None:
        """Unmount a mount that is held while a scan runs, and right after."""
        self._count("mount", lambda: syscalls.mount("none", str(self.long), "tmpfs"))
        self._hold("umount of a held mount", self.long, HELD_LONG_S)
        self._umount("umount of a mount that was held", self.long)

    def ext4(self) -> None:
        """Make, use and take away an ext4 on a loop device."""
        self._count("losetup", self._attach)
        self._count("mkfs", self._mkfs)
        self._count("mount of ext4", self._mount_ext4)
        self._hold("umount of a busy ext4", self.mnt, HELD_S)
        self._umount("umount of an ext4 that was busy", self.mnt)
        self._count("O_EXCL after umount", self._claim)
        self._count("mkfs after umount", self._mkfs)
        self._count("losetup -d", self._detach)
        self._count("O_EXCL after losetup -d", self._claim)
        self._count("status after losetup -d", self._status)

    def last(self) -> None:
        """Ask for the mark that `why --ask-kernel` has to clear."""
        number = self._umount_of(self.kept, MNT_EXPIRE)
        self.counts["expire of the kept mount"][number] += 1

    def results(self) -> dict[str, object]:
        """Return the results as plain data."""
        return {
            "counts": {step: dict(found) for step, found in self.counts.items()},
            "mounts": sorted({(each.mount, each.dev) for each in self.places}),
            "rdev": self._rdev,
        }

    def _count(self, step: str, call) -> None:
        number = 0
        try:
            call()
        except OSError as error:
            number = error.errno or -1
        self.counts[step][number] += 1

    def _umount_of(self, path: Path, flags: int) -> int:
        return syscalls.timed_umount(os.fsencode(path), flags)[2]

    def _umount(self, step: str, path: Path, flags: int = 0) -> None:
        number = self._umount_of(path, flags)
        self.counts[step][number] += 1
        if number and not flags:
            self._umount_of(path, syscalls.MNT_DETACH)

    def _mount_tmpfs(self) -> None:
        self._count("mount", lambda: syscalls.mount("none", str(self.mnt), "tmpfs"))

    def _mount_ext4(self) -> None:
        syscalls.mount(self.node, str(self.mnt), "ext4")

    def _note_a_file(self, folder: Path) -> int:
        file = os.open(folder / "x", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        self.places.add(place(f"/proc/self/fd/{file}"))
        return file

    def _hold(self, step: str, path: Path, seconds: float) -> None:
        file = self._note_a_file(path)
        self.counts[step][self._umount_of(path, 0)] += 1
        time.sleep(seconds)
        os.close(file)

    def _attach(self) -> None:
        with self._opened(os.O_RDWR) as device:
            fcntl.ioctl(device, LOOP_SET_FD, self._image)

    def _detach(self) -> None:
        with self._opened(os.O_RDONLY) as device:
            fcntl.ioctl(device, LOOP_CLR_FD)

    def _claim(self) -> None:
        with self._opened(os.O_RDWR | os.O_EXCL):
            pass

    def _status(self) -> None:
        with self._opened(os.O_RDONLY) as device:
            fcntl.ioctl(device, LOOP_GET_STATUS64, bytearray(232))

    @contextmanager
    def _opened(self, flags: int):
        device = os.open(self.node, flags | os.O_CLOEXEC)
        try:
            yield device
        finally:
            os.close(device)

    def _mkfs(self) -> None:
        done = subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", self.node],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise OSError(errno.EBUSY if b"in use" in done.stderr else -1, done.stderr.decode())


def _say(found: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def main() -> None:
    syscalls.unshare_mounts()
    syscalls.make_private()
    loop = Loop(Path(sys.argv[1]))
    try:
        _say({"node": loop.node})
        rounds = 0
        while not select.select([0], [], [], 0)[0]:
            for _ in range(TMPFS_ROUNDS):
                loop.tmpfs()
            loop.ext4()
            rounds += 1
            (Path(sys.argv[1]) / "rounds").write_text(str(rounds))
            if rounds % HELD_LONG_EVERY == 0:
                loop.held_long()
        loop.last()
    finally:
        loop.close()
    _say(loop.results())


if __name__ == "__main__":
    main()
