"""Processes that walk into the mount being unmounted, so that umount finds it busy."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from umtrace.exercise.children import SharedWords, fork_child, reap
from umtrace.exercise.stage import Stage

_REST: Final = -1
_QUIT: Final = -2
_REST_S: Final = 0.0001
_START_S: Final = 5.0
_ARRIVE_S: Final = 0.01
#: Retries among running walkers; then they rest until the umount has succeeded.
_RETRIES_WALKING: Final = 20
_PAUSE_S: Final = 0.00005  # a walker may need the CPU to get out
_RETRIES: Final = 5000


class Walkers:
    """Word 0 is the number of the mount to walk into; then comes a word per walker, its rounds."""

    def __init__(self, shared: SharedWords, count: int) -> None:
        self._words = shared.words
        self._count = count

    def aim(self, number: int) -> None:
        """Send the walkers into mount `number`, and wait until they are there."""
        arrived = self.rounds() + 2 * self._count
        self._words[0] = number
        deadline = time.monotonic() + _ARRIVE_S
        while self.rounds() < arrived and time.monotonic() < deadline:
            time.sleep(0)

    def rest(self) -> None:
        """Have the walkers stay out of every mount."""
        self._words[0] = _REST

    def wait_started(self) -> None:
        """Wait until each has made a round, but not for ever."""
        deadline = time.monotonic() + _START_S
        while 0 in self._words[1:].tolist() and time.monotonic() < deadline:
            time.sleep(_REST_S)

    def rounds(self) -> int:
        """Return the rounds made by all of them."""
        return sum(self._words[1:].tolist())

    def quit(self) -> None:
        """Have them exit."""
        self._words[0] = _QUIT

    def walk(self, index: int, path_of: Callable[[int], str]) -> None:
        """Be walker number `index` until told to quit."""
        words, known, path = self._words, _REST, ""
        while (number := words[0]) != _QUIT:
            if number == _REST:
                time.sleep(_REST_S)
                continue
            if number != known:
                known, path = number, path_of(number)
            with suppress(OSError):
                os.stat(path)  # noqa: PTH116 - the call itself is the point
                os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
            words[index] += 1


@contextmanager
def walking(stage: Stage, path_of: Callable[[int], str]) -> Iterator[Walkers | None]:
    """Fork the walkers; None where none were asked for."""
    count = stage.config.walkers
    if not count:
        yield None
        return
    shared = SharedWords(1 + count)
    walkers = Walkers(shared, count)
    pids: list[int] = []
    try:
        for index in range(1, count + 1):
            body = _body(walkers, index, path_of)
            pids.append(fork_child(f"umt-walker-{index - 1}", stage.errors, body))
        walkers.wait_started()
        yield walkers
    finally:
        walkers.quit()
        reap(pids)
        stage.ledger.walks += walkers.rounds()
        shared.close()


def _body(walkers: Walkers, index: int, path_of: Callable[[int], str]) -> Callable[[], None]:
    return lambda: walkers.walk(index, path_of)


def umount_among(stage: Stage, walkers: Walkers, path: str, scenario: str) -> None:
    """Unmount, again and again while a walker makes it busy; every call is logged."""
    for retry in range(_RETRIES):
        if stage.umount(path, scenario, retry=retry) != errno.EBUSY:
            return
        if retry >= _RETRIES_WALKING:
            walkers.rest()
        time.sleep(_PAUSE_S)
    stage.ledger.notes.append(f"{path}: still busy after {_RETRIES} calls")
