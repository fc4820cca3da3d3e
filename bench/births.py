"""What a cgroup that is made and removed costs the recorder: ``python -m bench.births``."""

from __future__ import annotations

import time

import numpy as np

from umtrace.model.events import BIRTH_DTYPE
from umtrace.runtimes.files import HostFiles
from umtrace.runtimes.learner import HostLearner

_AT_ONCE, _ROUNDS = 1000, 100


def main() -> None:
    """Print the CPU time of a birth and a death, without and with a container's name in it."""
    for text in ("/system.slice/web.service/{:08}", "/docker/{:064x}"):
        learner = HostLearner(0, files=HostFiles("/nonexistent"), path_of=lambda _id: None)
        made = [_births(text, first) for first in range(0, _AT_ONCE * _ROUNDS, _AT_ONCE)]
        begun = time.process_time()
        for births in made:
            learner.born(births)
            births["gone"] = 1
            learner.born(births)
        spent = time.process_time() - begun
        print(f"{spent / (_AT_ONCE * _ROUNDS) * 1e6:5.1f} µs a birth and death, {text}")


def _births(text: str, first: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    births = np.zeros(_AT_ONCE, BIRTH_DTYPE)
    births["id"] = np.arange(first, first + _AT_ONCE)
    for number, record in enumerate(births, first):
        path = text.format(number).encode()
        record["len"], record["path"] = len(path) + 1, path
    return births


if __name__ == "__main__":
    main()
