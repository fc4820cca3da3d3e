"""Containers of id-mapped layers, as an engine makes them for user namespaces.

Twice in a container's life, the engine mounts a copy of each layer for a moment, with the
container's ids: open_tree, mount_setattr, move_mount. It mounts an overlay over these, and
unmounts them at once; the overlay has its own references. Fifty layers are a hundred umounts.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.calls import Actor
from umtrace.exercise.held_layers import Child, Descriptors, Neighbour, Times
from umtrace.exercise.stage import Stage
from umtrace.exercise.userns import user_namespace
from umtrace.model.errors import UmtraceError

_ROUNDS: Final = 2
_SCENARIO: Final = "layers"
_RETRIES: Final = 100_000
_PAUSE_S: Final = 0.002
_OPTIONS_BYTES: Final = 4095  # what mount(2) takes
_REASONS: Final = {
    errno.ENOSYS: "this kernel has no mount_setattr(2), which came with Linux 5.12",
    errno.EINVAL: "this kernel cannot map ids on {fstype}: try --fstype ext4",
    errno.EPERM: "this kernel, or what confines this process, does not allow id-mapped mounts",
}


@dataclass(slots=True, kw_only=True)
class _Site:
    """What the makers share."""

    stage: Stage
    top: Path  #: shared, so that the neighbours get copies of what is mounted below
    userns: int
    times: Times
    neighbours: list[Neighbour] = field(default_factory=list)
    descriptors: Descriptors = field(default_factory=Descriptors)
    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: int = 0  #: containers that a maker took
    layers: int = 0  #: layers that were mounted
    failure: Exception | None = None

    def next_container(self) -> int | None:
        """Return the number of a container that nobody made yet."""
        with self.lock:
            if self.begun >= self.stage.config.containers or self.stage.stop or self.failure:
                return None
            self.begun += 1
            return self.begun - 1

    def hold_of_next(self) -> int | None:
        """Return the number of the hold that the next layer meets; None where it meets none.

        The holds are spread evenly over all layers.
        """
        config = self.stage.config
        total = _ROUNDS * config.containers * config.layers
        with self.lock:
            before, self.layers = self.layers, self.layers + 1
        first, last = (n * config.holds // total for n in (before, before + 1))
        return first if last > first else None


def layers(stage: Stage) -> None:
    """Make and remove `config.containers`, `config.makers` at a time."""
    config = stage.config
    if not config.containers or stage.stop:
        return
    with ExitStack() as stack:
        site = stack.enter_context(_site(stage))
        threads = [
            # Each has a container before any of them runs: one could be done with all of them.
            threading.Thread(target=_make, args=(site, maker, site.next_container()))
            for maker in range(min(config.makers, config.containers))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if site.failure is not None:
            raise site.failure


@contextmanager
def _site(stage: Stage) -> Iterator[_Site]:
    top = stage.root / "l"
    source = Path(stage.prepare(_SCENARIO, "l/s"))
    for number in range(stage.config.layers):
        (source / str(number)).mkdir(exist_ok=True)
    shared = top / "m"
    shared.mkdir()
    syscalls.mount("umtrace-exercise", str(shared), "tmpfs")
    syscalls.mount("none", str(shared), flags=syscalls.MS_SHARED)
    times = Times(stage.config.holds + 1, stage.config.hold_ms / 1000)
    with closing(times), user_namespace(stage) as userns:
        site = _Site(stage=stage, top=top, userns=userns, times=times)
        try:
            for number in range(stage.config.neighbours):
                site.neighbours.append(Neighbour(stage, times, number))
            yield site
        finally:
            for neighbour in site.neighbours:
                neighbour.leave()
            for path in (shared, source):
                stage.umount(str(path), _SCENARIO)


def _make(site: _Site, maker: int, number: int | None) -> None:
    try:
        syscalls.set_comm(f"umt-maker-{maker}")
        actor = Actor.current()
        while number is not None:
            for turn in range(_ROUNDS):
                _Round(site, actor, f"{number}-{turn}").run()
            number = site.next_container()
    except Exception as error:
        site.failure = site.failure or error


class _Round:
    """The layers of a container once: mounted, used by an overlay, unmounted."""

    def __init__(self, site: _Site, actor: Actor, name: str) -> None:
        self._site = site
        self._stage = site.stage
        self._actor = actor
        self._source = site.top / "s"
        self._place = site.top / "m" / name
        #: by layer: its hold, and the wait for the end of that
        self._held: dict[str, tuple[int, Callable[[], None]]] = {}

    def run(self) -> None:
        for name in (*(str(n) for n in range(self._stage.config.layers)), "root"):
            (self._place / name).mkdir(parents=True)
        for part in ("up", "work"):
            (self._source / part / self._place.name).mkdir(parents=True, exist_ok=True)
        for number in range(self._stage.config.layers):
            self._mount(number)
        root = str(self._place / "root")
        syscalls.mount("umtrace-exercise", root, "overlay", data=self._options())
        for number in range(self._stage.config.layers):
            self._umount_layer(number)
        self._umount(root)

    def _mount(self, number: int) -> None:
        target = str(self._place / str(number))
        hold = self._site.hold_of_next()
        source = str(self._source / str(number))
        with self._site.descriptors.opened(source, target) as fd:
            self._map(fd, source)
            syscalls.move_mount(fd, target)
            if hold is not None and (neighbour := self._neighbour_for(hold)) is None:
                child = Child(self._stage, self._site.descriptors, self._site.times, hold)
                self._held[target] = (hold, child.ended)
        if hold is not None and neighbour is not None:
            neighbour.hold(hold, target)
            self._held[target] = (hold, partial(neighbour.ended, hold, target))

    def _neighbour_for(self, hold: int) -> Neighbour | None:
        """Return who is to hold its copy, in every second hold; None where a child holds."""
        neighbours = self._site.neighbours
        return neighbours[hold // 2 % len(neighbours)] if neighbours and hold % 2 else None

    def _map(self, fd: int, source: str) -> None:
        try:
            syscalls.id_map(fd, self._site.userns, source)
        except OSError as error:
            reason = _REASONS.get(error.errno or 0)
            if reason is None:
                raise
            raise UmtraceError(reason.format(fstype=self._stage.config.fstype)) from error

    def _options(self) -> str:
        lower = ":".join(str(self._place / str(n)) for n in range(self._stage.config.layers))
        upper, work = (self._source / part / self._place.name for part in ("up", "work"))
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        if len(os.fsencode(options)) > _OPTIONS_BYTES:
            raise UmtraceError(
                "the paths of so many layers are too long for mount(2): fewer --layers"
            )
        return options

    def _umount_layer(self, number: int) -> None:
        path = str(self._place / str(number))
        hold, ended = self._held.pop(path, (None, None))
        if hold is not None:
            self._site.times.umount_begins(hold)
        self._umount(path)
        if ended is not None:
            ended()

    def _umount(self, path: str) -> None:
        for retry in range(_RETRIES):
            gone = 1 + len(self._site.neighbours)
            failed = self._stage.umount(
                path, _SCENARIO, retry=retry, n_mounts=gone, actor=self._actor
            )
            if failed != errno.EBUSY:
                return
            time.sleep(_PAUSE_S)
        self._stage.ledger.notes.append(f"{path}: still busy after {_RETRIES} calls")
