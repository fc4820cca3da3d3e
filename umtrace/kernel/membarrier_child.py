"""The process that waits for grace periods beside a recorder; each length is a line of its output.

It is no thread of the recorder, since a thread that comes back from the wait would have to wait for
Python's lock, too, and count that.
"""

from __future__ import annotations

import random
import select
import sys

from umtrace.kernel.membarrier import wait_ns, why_not

#: the first calls follow soon: a recording may be short
SOON, SOON_S = 8, 0.2
#: later ones, on average; each pause is up to a half longer or shorter, to meet no timer
EVERY_S = 3.0


def main() -> None:
    """Measure until the recorder closes our input, or until a reason against it comes up."""
    number = 0
    while not (why := why_not()):
        try:
            length = wait_ns()
        except OSError as error:
            why = f"membarrier(2): {error.strerror}"
            break
        sys.stdout.write(f"{length}\n")
        sys.stdout.flush()
        number += 1
        pause = SOON_S if number < SOON else EVERY_S
        if select.select([sys.stdin], [], [], pause * _jitter())[0]:
            return
    sys.stdout.write(f"{why}\n")


def _jitter() -> float:
    return random.uniform(0.5, 1.5)  # noqa: S311 - no secret
