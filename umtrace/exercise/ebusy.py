"""Ground truth for EBUSY windows: scenarios whose cause is known, and their look-alikes.

``python -m umtrace.exercise.ebusy DIR`` runs them in the mount namespace it is started
in, which should be a private one, and prints one JSON line per mount with the truth.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.children import SharedWords
from umtrace.exercise.loopback import loop_device, make_image, mount_device
from umtrace.exercise.needs import check_needs
from umtrace.exercise.place import EBUSY, Place
from umtrace.exercise.watches import watch, watch_once
from umtrace.records.errors import UmtraceError

MNT_EXPIRE: Final = 4
#: longer than it takes until a tracer has seen the EBUSY and looked who is there
_LOOK_S: Final = 0.6
_TAIL_S: Final = 0.2
_CLONE_FS: Final = 0x200
Body = Callable[[Place, str], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done, and what is true of it.

    ``truth`` is the class, or none where umount never says EBUSY; ``held`` whether
    somebody really was in there for longer than a moment. ``after`` are the classes of what
    follows an umount that succeeded; only the function tiers see it.
    """

    name: str
    truth: str
    held: bool
    body: Body
    rounds: int = 1
    after: tuple[str, ...] = ()


def _busy_for(place: Place, path: Path, seconds: float = _LOOK_S) -> None:
    if place.umount(path) != EBUSY:
        raise AssertionError(f"{path}: not busy")
    time.sleep(seconds)


def _held(begin: Callable[[Path], object]) -> Body:
    """Return a scenario in which a child holds the mount in some way."""

    def body(place: Place, name: str) -> None:
        path = place.mount(name)
        with place.helper(lambda: begin(path)):
            _busy_for(place, path)
        place.umount_retrying(path, 0.01)

    return body


def _open(path: Path) -> object:
    return (path / "x").open()


def _map(path: Path) -> object:
    with (path / "x").open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def _run(path: Path) -> object:
    program = str(path / "sleep")
    shutil.copy("/bin/sleep", program)
    return subprocess.Popen([program, "0.8"])  # returns when the program runs


def _thread(path: Path) -> object:
    inside = threading.Event()

    def wander() -> None:
        syscalls.unshare(_CLONE_FS)
        os.chdir(path)
        inside.set()
        time.sleep(_LOOK_S + 0.1)

    threading.Thread(target=wander, daemon=True).start()
    return inside.wait()


def _in_flight(path: Path) -> object:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with (path / "x").open() as file:
        socket.send_fds(here, [b"x"], [file.fileno()])
    return here, there


def _loop(place: Place, name: str) -> None:
    path = place.mount(name)
    image = path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    with loop_device(image):
        _busy_for(place, path)
    place.umount_retrying(path, 0.01)


def _short(seconds: float) -> Body:
    def body(place: Place, name: str) -> None:
        path = place.mount(name)
        with _open(path):  # type: ignore[attr-defined]
            _busy_for(place, path, seconds)
        time.sleep(seconds)
        place.umount_retrying(path, 0.01)

    return body


def _detached(place: Place, name: str) -> None:
    path = place.mount(name)
    with place.helper(lambda: _open(path)):
        _busy_for(place, path)
        place.umount(path, syscalls.MNT_DETACH)


def _detached_late(place: Place, name: str) -> None:
    path = place.mount(name)
    with place.helper(lambda: _open(path)):
        place.umount(path, syscalls.MNT_DETACH)
        time.sleep(_TAIL_S)


def _detached_idle(place: Place, name: str) -> None:
    place.umount(place.mount(name), syscalls.MNT_DETACH)


def _claimed(place: Place, name: str) -> None:
    """Do what failed when a kernel deferred umounts: claim the device of a lazy umount."""
    image, path = place.root / f"{name}.image", place.root / name
    make_image(image, "ext4", 8)
    path.mkdir()
    with loop_device(image) as device:
        mount_device(device, str(path), "ext4")
        (path / "x").write_text("x")
        with place.helper(lambda: _open(path)):
            place.umount(path, syscalls.MNT_DETACH)
            _claim_in_vain(device)
            time.sleep(_TAIL_S)


def _claim_in_vain(device: Path) -> None:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_EXCL))
    except OSError as error:
        if error.errno == EBUSY:
            return
        raise
    raise AssertionError(f"{device}: not busy")


def _submount(place: Place, name: str) -> None:
    path = place.mount(name)
    below = place.mount(f"{name}/below")
    _busy_for(place, path)
    place.umount(below)
    place.umount(path)


def _copy(place: Place, name: str) -> None:
    parent = place.mount(f"{name}-shared")
    syscalls.mount("none", str(parent), flags=syscalls.MS_SHARED)
    ready = f"{name}-shared/{name}"
    ours = place.root / ready
    ours.mkdir()

    def hold() -> None:
        with suppress(OSError), (ours / "x").open():
            time.sleep(1000)  # until it is killed
        time.sleep(0.001)

    with place.helper(syscalls.unshare_mounts, hold):
        place.mount(ready)
        time.sleep(0.05)  # the helper finds the file in its copy
        _busy_for(place, ours)
    place.umount_retrying(ours, 0.01)
    place.umount(parent)


def _private_copy(place: Place, name: str) -> None:
    path = place.mount(name)

    def begin() -> object:
        syscalls.unshare_mounts()
        syscalls.make_private()
        return _open(path)

    with place.helper(begin):
        place.umount(path)


def _bind(place: Place, name: str) -> None:
    path = place.mount(name)
    other = place.root / f"{name}-bind"
    other.mkdir()
    syscalls.mount(str(path), str(other), flags=syscalls.MS_BIND)
    with (other / "x").open():
        place.umount(path)
    place.umount(other)


def _lower(place: Place, name: str) -> None:
    path = place.mount(name)
    upper = place.mount(f"{name}-upper")
    for directory in ("up", "work"):
        (upper / directory).mkdir()
    merged = place.root / f"{name}-merged"
    merged.mkdir()
    options = f"lowerdir={path},upperdir={upper}/up,workdir={upper}/work"
    syscalls.mount("overlay", str(merged), "overlay", data=options)
    place.umount(path)
    place.umount(merged)
    place.umount(upper)


def _expire_busy(place: Place, name: str) -> None:
    path = place.mount(name)
    with _open(path):  # type: ignore[attr-defined]
        place.umount(path, MNT_EXPIRE)
        time.sleep(_LOOK_S)
    place.umount(path)


def _expire_idle(place: Place, name: str) -> None:
    path = place.mount(name)
    place.umount(path, MNT_EXPIRE)
    place.umount(path, MNT_EXPIRE)


def _watched(place: Place, name: str) -> None:
    path = place.mount(name)
    with ExitStack() as undo:
        undo.callback(os.close, watch(path))
        place.umount(path)


def _walked(step: Callable[[str], object], pause_s: float = 0.0005, walkers: int = 1) -> Body:
    """Return a scenario with children that pass by all the time."""

    def body(place: Place, name: str) -> None:
        path = place.mount(name)
        file, slowest = f"{path}/x", SharedWords(1)

        def loop() -> None:
            with suppress(OSError):
                while True:
                    begin = time.monotonic_ns()
                    step(file)
                    slowest.words[0] = max(slowest.words[0], time.monotonic_ns() - begin)

        with ExitStack() as stack:
            for _ in range(walkers):
                stack.enter_context(place.helper(lambda: None, loop))
            time.sleep(0.002)
            place.umount_retrying(path, pause_s)
        place.slowest_pass_ns = slowest.words[0]
        slowest.close()

    return body


def _held_among_walkers(place: Place, name: str) -> None:
    """Hold a file for 60 ms, which walkers that come and go must not hide."""
    path = place.mount(name)
    file = f"{path}/x"

    def loop() -> None:
        with suppress(OSError):
            while True:
                _stat(file)

    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(place.helper(lambda: None, loop))
        with _open(path):  # type: ignore[attr-defined]
            _busy_for(place, path, 0.06)
        place.umount_retrying(path, 0.0005)


def _stat(file: str) -> object:
    return os.stat(file)  # noqa: PTH116 - the call itself is the point


def _open_close(file: str) -> None:
    os.close(os.open(file, os.O_RDONLY))


def _open_path(file: str) -> None:
    os.close(os.open(file, os.O_PATH))


SCENARIOS: Final = (
    Scenario("open-fd", "held", True, _held(_open)),
    Scenario("o-path-fd", "held", True, _held(lambda p: os.open(p / "x", os.O_PATH))),
    Scenario("cwd", "held", True, _held(os.chdir)),
    Scenario("chroot", "held", True, _held(os.chroot)),
    Scenario("exe", "held", True, _held(_run)),
    Scenario("maps", "held", True, _held(_map)),
    Scenario("thread-cwd", "held", True, _held(_thread)),
    Scenario("fd-in-flight", "held", True, _held(_in_flight)),
    Scenario("loop-backing", "held", True, _loop),
    Scenario("held-30ms", "held", True, _short(0.03), 5),
    Scenario("held-100ms", "held", True, _short(0.1), 5),
    Scenario("held-among-walkers", "held", True, _held_among_walkers, 5),
    Scenario("held-detach", "held", True, _detached, after=("lazy-tail",)),
    Scenario("detach-open-fd", "none", False, _detached_late, 3, ("lazy-tail",)),
    Scenario("detach-idle", "none", False, _detached_idle, 3),
    Scenario("detach-claim", "none", False, _claimed, 1, ("lazy-tail", "downstream")),
    Scenario("submount", "submount", True, _submount),
    Scenario("propagated", "propagated-copy", True, _copy),
    Scenario("expire-busy", "expire", True, _expire_busy),
    Scenario("expire-idle", "none", False, _expire_idle),
    Scenario("private-copy", "none", False, _private_copy, after=("shared-sb",)),
    Scenario("bind", "none", False, _bind, after=("shared-sb",)),
    Scenario("overlay-lower", "none", False, _lower, after=("shared-sb",)),
    Scenario("inotify-watch", "none", False, _watched),
    Scenario("stat-loop", "transient-ref", False, _walked(_stat, walkers=4), 50),
    Scenario("open-close-loop", "transient-ref", False, _walked(_open_close), 25),
    Scenario("o-path-loop", "transient-ref", False, _walked(_open_path), 25),
    Scenario("inotify-loop", "transient-ref", False, _walked(watch_once, walkers=4), 25),
    Scenario("slow-retry", "transient-ref", False, _walked(_open_close, 0.1), 25),
)


def run(root: Path) -> list[dict[str, object]]:
    """Run every scenario; return one truth per mount."""
    truths: list[dict[str, object]] = []
    for scenario in SCENARIOS:
        for number in range(scenario.rounds):
            place = Place(root)
            name = f"{scenario.name}.{number}"
            scenario.body(place, name)
            busy = sum(errno == EBUSY for _path, _flags, errno in place.calls)
            truths.append(
                {
                    "name": name,
                    "scenario": scenario.name,
                    "truth": scenario.truth if busy else "none",
                    "held": scenario.held and busy > 0,
                    "after": scenario.after,
                    "busy": busy,
                    "calls": len(place.calls),
                    "slowest_pass_ns": place.slowest_pass_ns,
                }
            )
    return truths


def main() -> None:
    """Run them all in a directory; one line of JSON a mount, or one that says what is missing."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():  # noqa: PLR2004
        sys.exit("usage: python -m umtrace.exercise.ebusy DIRECTORY")
    try:
        check_needs()
        for truth in run(Path(sys.argv[1])):
            sys.stdout.write(json.dumps(truth) + "\n")
    except UmtraceError as error:
        sys.exit(f"umtrace.exercise.ebusy: {error}")


if __name__ == "__main__":
    main()
