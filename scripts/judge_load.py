#!/usr/bin/env -S python
"""Umounts by seed, on a kernel of lab/designs, with what that kernel counted beside them.

    umtrace record -o rec.umt -- python scripts/judge_load.py --seed 3 --ledger ledger.json

The same seed unmounts the same mounts in the same order, with the same pauses. The ledger has, load
by load, its span and what is in /proc/fs/umount-design. `scripts/judge-designs` compares. Root.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from umtrace.exercise import loopback, syscalls
from umtrace.exercise.children import fork_child, reap

COUNTS = Path("/proc/fs/umount-design")
ROOT = Path("/run/judge")
ERRORS = ROOT / "errors"
_MEMBARRIER, _GLOBAL = 324, 1  # x86-64


class Place:
    """A folder of one load, and the random choices of its seed."""

    def __init__(self, name: str, seed: int) -> None:
        self.folder, self.rng = ROOT / name, random.Random(f"{name} {seed}")  # noqa: S311
        self.folder.mkdir(parents=True, exist_ok=True)
        self.left: list[Path] = []  #: mounts to unmount when the load is over

    def mounted(self, name: str, files: int = 0) -> Path:
        """Mount a tmpfs with some files."""
        target = self.folder / name
        target.mkdir(exist_ok=True)
        syscalls.mount("judge", str(target), "tmpfs", 0, "size=64m")
        for number in range(files):
            os.close(os.open(target / f"{number}", os.O_CREAT | os.O_WRONLY))
        return target

    def flags(self) -> int:
        """Choose sync or lazy."""
        return self.rng.choice((0, syscalls.MNT_DETACH))

    def pauses(self, n: int) -> list[float]:
        """Choose n pauses, s."""
        return [self.rng.uniform(0, 0.006) for _ in range(n)]


def unmount(target: Path, flags: int) -> None:
    """Unmount; raise if that fails."""
    number = syscalls.timed_umount(os.fsencode(target), flags)[2]
    if number:
        raise OSError(number, os.strerror(number), str(target))


def in_turn(place: Place, name: str, n: int) -> None:
    """Unmount n mounts one after the other, some lazily."""
    for pause, flags in zip(place.pauses(n), [place.flags() for _ in range(n)], strict=True):
        target = place.mounted(name, files=2)
        time.sleep(pause)
        unmount(target, flags)


def one(place: Place) -> None:
    """One task."""
    in_turn(place, "one", 40)


def eight(place: Place) -> None:
    """Eight tasks at once."""
    seeds = [place.rng.random() for _ in range(8)]

    def body(number: int) -> Callable[[], None]:
        def run() -> None:
            own = Place(f"eight/{number}", 0)
            own.rng.seed(seeds[number])
            in_turn(own, "m", 12)

        return run

    children([(f"judge-{number}", body(number)) for number in range(8)])


def propagation(place: Place) -> None:
    """Unmount a mount with 200 copies, four times."""
    base = place.folder / "base"
    base.mkdir()
    syscalls.mount("judge", str(base), "tmpfs")
    syscalls.mount("", str(base), "", syscalls.MS_SHARED)
    (base / "m").mkdir()
    peers = [place.folder / f"peer{number}" for number in range(200)]
    for peer in peers:
        peer.mkdir()
        syscalls.mount(str(base), str(peer), "", syscalls.MS_BIND)
    for flags in place.rng.sample((0, 0, syscalls.MNT_DETACH, syscalls.MNT_DETACH), 4):
        syscalls.mount("judge", str(base / "m"), "tmpfs")
        time.sleep(place.rng.uniform(0, 0.02))
        unmount(base / "m", flags)
    place.left = [*peers, base]


def slow(place: Place) -> None:
    """Lazily a mount that takes long to shut down, and beside it four that do not; three times."""
    for number in range(3):
        target = place.mounted(f"slow{number}", files=1500)
        others = [place.mounted(f"quick{number}-{each}", files=1) for each in range(4)]
        pauses = sorted(place.pauses(4))
        unmount(target, syscalls.MNT_DETACH)
        for other, pause in zip(others, pauses, strict=True):
            time.sleep(pause / 4)
            unmount(other, syscalls.MNT_DETACH)
        settle()


def exits(place: Place) -> None:
    """Six mount namespaces of 20 mounts that end with their task."""
    for number in range(6):

        def body(number: int = number) -> None:
            syscalls.unshare_mounts()
            for each in range(20):
                place.mounted(f"exit{number}-{each}")

        time.sleep(place.rng.uniform(0, 0.01))
        children([("judge-exit", body)])


def held(place: Place) -> None:
    """Lazy umounts, half of which have a file open a little longer."""
    for _ in range(24):
        target = place.mounted("held", files=1)
        fd = os.open(target / "0", os.O_RDONLY) if place.rng.random() < 0.5 else -1
        time.sleep(place.rng.uniform(0, 0.003))
        unmount(target, syscalls.MNT_DETACH)
        if fd >= 0:
            time.sleep(0.002)
            os.close(fd)


def device(place: Place) -> dict[str, list[dict[str, Any]]]:
    """Claim a device as soon as its file system is unmounted."""
    image, target = place.folder / "image", place.folder / "m"
    target.mkdir(exist_ok=True)
    loopback.make_image(image, "ext4", 0)
    # Without a descriptor that is open for writing: CONFIG_BLK_DEV_WRITE_MOUNTED may be off.
    loop = Path(_losetup("--find", "--show", str(image)).strip())
    claims = []
    for _ in range(16):
        flags = place.flags()
        loopback.mount_device(loop, str(target), "ext4")
        time.sleep(place.rng.uniform(0, 0.004))
        unmount(target, flags)
        claims.append({"lazy": bool(flags)} | claimed(loop))
    _losetup("--detach", str(loop))
    return {"claims": claims}


def _losetup(*words: str) -> str:
    command = ["/usr/sbin/losetup", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def claimed(path: Path) -> dict[str, Any]:
    """Open a device for oneself alone, again and again until it works."""
    begin = time.monotonic_ns()
    first = None
    while True:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_EXCL))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            first = first or "EBUSY"
            time.sleep(0.0005)
            continue
        return {"first": first or "ok", "busy_ns": time.monotonic_ns() - begin if first else 0}


LOADS = (one, eight, propagation, slow, exits, held, device)


def children(bodies: list[tuple[str, Callable[[], None]]]) -> None:
    """Run some children; raise where one failed."""
    pids = [fork_child(comm, ERRORS, body) for comm, body in bodies]
    if any(reap(pids)):
        raise RuntimeError(ERRORS.read_text())


def counts() -> dict[str, Any]:
    """Return what the kernel counted."""
    pairs = (line.split() for line in COUNTS.read_text().splitlines())
    return {key: value if key == "design" else int(value) for key, value in pairs}


def settle() -> None:
    """Wait until nothing is deferred any more."""
    while counts()["depth"]:
        time.sleep(0.005)


def log(name: str) -> list[list[Any]]:
    """Return a log of the kernel, line by line."""
    head, *lines = COUNTS.with_name(f"umount-design-{name}").read_text().splitlines()
    texts = {i for i, key in enumerate(head.split()) if key in {"design", "kind"}}
    words = (line.split() for line in lines)
    return [[word if i in texts else int(word) for i, word in enumerate(each)] for each in words]


def grace_periods() -> list[int]:
    """Measure normal grace periods, ns."""
    libc = ctypes.CDLL(None, use_errno=True)
    lengths = []
    for _ in range(25):
        begin = time.perf_counter_ns()
        if libc.syscall(_MEMBARRIER, _GLOBAL, 0, 0):
            raise OSError(ctypes.get_errno(), "membarrier")
        lengths.append(time.perf_counter_ns() - begin)
        time.sleep(0.003)
    return lengths


def run(load: Callable[[Place], dict[str, Any] | None], seed: int) -> dict[str, Any]:
    """Run one load and return what the kernel counted meanwhile."""
    place = Place(load.__name__, seed)
    settle()
    time.sleep(0.05)
    COUNTS.write_text("0\n")
    before, begin = counts(), time.time_ns()
    more = load(place) or {}
    end = time.time_ns()
    settle()
    after = counts()
    numbers = {key: after[key] for key in after if key != "design"}
    for key in ("normal_grace_periods", "expedited_grace_periods"):
        numbers[key] -= before[key]
    found = {
        "load": load.__name__, "begin_ns": begin, "end_ns": end, "counts": numbers,
        "ops": log("ops"), "mounts": log("mounts"), **more,
    }  # fmt: skip
    for target in place.left:
        unmount(target, syscalls.MNT_DETACH)
    return found


def main() -> None:
    """Run the loads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--loads", default="", help="only these, such as one,slow")
    asked = parser.parse_args()
    names = asked.loads.split(",") if asked.loads else [each.__name__ for each in LOADS]
    chosen = [each for each in LOADS if each.__name__ in names]
    syscalls.unshare_mounts()
    syscalls.make_private()
    ROOT.mkdir(parents=True, exist_ok=True)
    syscalls.mount("judge", str(ROOT), "tmpfs")
    lengths = grace_periods()
    done = [run(load, asked.seed) for load in chosen]
    ledger = {
        "design": counts()["design"], "seed": asked.seed, "normal_gp_ns": lengths, "loads": done,
    }  # fmt: skip
    asked.ledger.write_text(json.dumps(ledger))
    unmount(ROOT, syscalls.MNT_DETACH)


if __name__ == "__main__":
    main()
