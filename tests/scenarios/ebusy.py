"""Ground truth for EBUSY windows: scenarios whose cause is known, and their look-alikes.

``python -m tests.scenarios.ebusy DIR`` runs them in the mount namespace it is started
in, which should be a private one, and prints one JSON line per mount with the truth.
``SCENARIO=ROUNDS`` after it runs just these, so many times.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.scenarios.holding import (
    LOOK_S,
    Body,
    back_loop,
    bind_socket,
    busy_for,
    held,
    held_for,
    map_file,
    open_file,
    run_program,
    send_file,
    wander,
)
from tests.scenarios.lazytails import (
    claimed,
    detached,
    detached_idle,
    detached_late,
    mounted_again,
)
from tests.scenarios.needs import check_needs
from tests.scenarios.passes import SlowPasses
from tests.scenarios.place import EBUSY, Place
from tests.scenarios.watches import watch, watch_once
from umtrace.exercise import syscalls
from umtrace.exercise.children import SharedWords
from umtrace.model.errors import UmtraceError

MNT_EXPIRE: Final = 4
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done, and what is true of it.

    ``truth`` is the class, or none where umount never says EBUSY; ``held`` whether
    somebody really was in there for longer than a moment. ``after`` are the classes of what
    follows an umount that succeeded; only the function tiers see it. ``also`` are classes that
    are true as well, for whoever sees less.
    """

    name: str
    truth: str
    held: bool
    body: Body
    rounds: int = 1
    after: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def _submount(place: Place, name: str) -> None:
    path = place.mount(name)
    below = place.mount(f"{name}/below")
    busy_for(place, path)
    place.umount(below)
    place.umount(path)


def _copy(place: Place, name: str) -> None:
    parent = place.mount(f"{name}-shared")
    syscalls.mount("none", str(parent), flags=syscalls.MS_SHARED)
    ready = f"{name}-shared/{name}"
    ours = place.root / ready
    ours.mkdir()
    inside = SharedWords(1)

    def hold() -> None:
        with suppress(OSError), (ours / "x").open():
            inside.words[0] = 1
            time.sleep(1000)  # until it is killed
        time.sleep(0.001)

    with place.helper(syscalls.unshare_mounts, hold):
        place.mount(ready)
        _wait_for(inside)  # the helper finds the file in its copy
        busy_for(place, ours)
    place.umount_retrying(ours, 0.01)
    place.umount(parent)
    inside.close()


def _wait_for(told: SharedWords) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not told.words[0] and time.monotonic() < deadline:
        time.sleep(0.001)


def _private_copy(place: Place, name: str) -> None:
    path = place.mount(name)

    def begin() -> object:
        syscalls.unshare_mounts()
        syscalls.make_private()
        return open_file(path)

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
    with open_file(path):  # type: ignore[attr-defined]
        place.umount(path, MNT_EXPIRE)
        time.sleep(LOOK_S)
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
        file, passes = f"{path}/x", SlowPasses()

        def loop() -> None:
            with suppress(OSError):
                while True:
                    passes.time(lambda: step(file))

        with ExitStack() as stack:
            for _ in range(walkers):
                stack.enter_context(place.helper(lambda: None, loop))
            time.sleep(0.002)
            place.umount_retrying(path, pause_s)
        place.in_the_way_ns = passes.longest_after(*place.first_busy_ns)
        passes.close()

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
        with open_file(path):  # type: ignore[attr-defined]
            busy_for(place, path, 0.06)
        place.umount_retrying(path, 0.0005)


def _others_among_walkers(begin: Callable[[Path], object]) -> Body:
    """Return a scenario in which a child holds the mount until 20 ms after the EBUSY."""

    def body(place: Place, name: str) -> None:
        path = place.mount(name)
        file = f"{path}/x"

        def loop(step: Callable[[str], object]) -> None:
            with suppress(OSError):
                while True:
                    step(file)

        with ExitStack() as stack:
            for step in (_stat, _stat, _open_close):
                stack.enter_context(place.helper(lambda: None, partial(loop, step)))
            with place.helper(lambda: begin(path)):
                busy_for(place, path, 0.02)
            place.umount_retrying(path, 0.0005)

    return body


def _new_mount(place: Place, name: str) -> None:
    """Hold a mount for 30 ms by the descriptor of open_tree(2) that it was made with.

    Nobody closes it by name: it goes as the child of a fork calls execve.
    """
    source, path = place.mount(f"{name}-source"), place.root / name
    path.mkdir()
    fd = syscalls.open_tree_clone(str(source))
    syscalls.move_mount(fd, str(path))
    begun = SharedWords(1)
    pid = os.fork()
    if not pid:
        begun.words[0] = 1
        time.sleep(0.03)
        os.execv("/bin/true", ["true"])
    os.close(fd)
    _wait_for(begun)
    place.umount_retrying(path, 0.0002)
    os.waitpid(pid, 0)
    place.umount(source)
    begun.close()


def _stat(file: str) -> object:
    return os.stat(file)  # noqa: PTH116 - the call itself is the point


def _open_close(file: str) -> None:
    os.close(os.open(file, os.O_RDONLY))


def _open_path(file: str) -> None:
    os.close(os.open(file, os.O_PATH))


SCENARIOS: Final = (
    Scenario("open-fd", "held", True, held(open_file)),
    Scenario("o-path-fd", "held", True, held(lambda p: os.open(p / "x", os.O_PATH))),
    Scenario("cwd", "held", True, held(os.chdir)),
    Scenario("chroot", "held", True, held(os.chroot)),
    Scenario("exe", "held", True, held(run_program)),
    Scenario("maps", "held", True, held(map_file)),
    Scenario("thread-cwd", "held", True, held(wander)),
    Scenario("fd-in-flight", "held", True, held(send_file)),
    Scenario("bound-socket", "held", True, held(bind_socket)),
    Scenario("loop-backing", "held", True, back_loop),
    Scenario("held-30ms", "held", True, held_for(0.03), 5),
    # A scan may find the child with the descriptor, and only probes see the execve that closes it.
    Scenario("new-mount-30ms", "inherited-fd", True, _new_mount, 5, ("shared-sb",), ("held",)),
    Scenario("held-100ms", "held", True, held_for(0.1), 5),
    Scenario("held-among-walkers", "held", True, _held_among_walkers, 5),
    Scenario("file-among-walkers", "held", True, _others_among_walkers(open_file), 5),
    Scenario("cwd-among-walkers", "held", True, _others_among_walkers(os.chdir), 5),
    Scenario("held-detach", "held", True, detached, after=("lazy-tail",)),
    Scenario("detach-open-fd", "none", False, detached_late, 3, ("lazy-tail",)),
    Scenario("detach-idle", "none", False, detached_idle, 3),
    Scenario("detach-claim", "none", False, claimed, 1, ("lazy-tail", "downstream")),
    Scenario("detach-mount", "none", False, mounted_again, 1, ("lazy-tail", "downstream")),
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


def run(root: Path, rounds: Mapping[str, int] | None = None) -> list[dict[str, object]]:
    """Run every scenario, or those named so many times; return one truth per mount."""
    truths: list[dict[str, object]] = []
    for scenario in SCENARIOS:
        times = scenario.rounds if rounds is None else rounds.get(scenario.name, 0)
        for number in range(times):
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
                    "also": scenario.also,
                    "busy": busy,
                    "calls": len(place.calls),
                    "in_the_way_ns": place.in_the_way_ns,
                }
            )
    return truths


def main() -> None:
    """Run them in a directory; one line of JSON a mount, or one that says what is missing."""
    root, *chosen = sys.argv[1:] or [""]
    names = {scenario.name for scenario in SCENARIOS}
    given = [each.partition("=") for each in chosen]
    if not Path(root).is_dir() or any(n not in names or not t.isdecimal() for n, _, t in given):
        sys.exit("usage: python -m tests.scenarios.ebusy DIRECTORY [SCENARIO=ROUNDS...]")
    try:
        check_needs()
        for truth in run(Path(root), {name: int(times) for name, _, times in given} or None):
            sys.stdout.write(json.dumps(truth) + "\n")
    except UmtraceError as error:
        sys.exit(f"tests.scenarios.ebusy: {error}")


if __name__ == "__main__":
    main()
