"""Live consumers that misbehave, and one that does not; each runs in a process of its own."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def counts(updates):
    """Write what came, and what it was told that it missed."""
    rows, last = 0, None
    for update in updates:
        rows, last = rows + update.rows.num_rows, update
    Path(os.environ["TOY_OUT"]).write_text(f"{rows} {last.missed.rows} {last.losses.ring_events}")


def spins(_updates):
    """Take nothing, and all of a CPU."""
    while True:
        pass


def sleeps(_updates):
    """Take nothing: its pipe stays full."""
    time.sleep(3600)


def raises(updates):
    """Fail at the third update."""
    for number, _update in enumerate(updates):
        if number == 2:
            raise ValueError("a bug of this consumer")


def is_killed(updates):
    """Die as by the OOM killer."""
    next(updates)
    sys.stdout.flush()
    os.kill(os.getpid(), 9)
