"""Kills while umounts are before the lock, under it, wait for it, or wait for a grace period.

``kill_spinning OUT TIER umounters|recorder``; ``kill_spinning DISK TIER crash PHASE``. As
tests.lab.kill_workload, with a recording and a JSON file for each phase.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.held_umounts import until
from tests.lab.kill_workload import (
    FLUSHED_S,
    GONE_S,
    crash_with,
    is_written,
    of_a_tracer,
    recorder,
    write_back_soon,
)
from tests.lab.spinning import PHASES, SECONDS, Spinner, calls_for


def umounters(spinner, path, tier):
    """All umounters are killed meanwhile; the recorder goes on to its end."""
    with recorder(path, tier) as process:
        with spinner.there() as came:
            for pid in spinner.pids.values():
                os.kill(pid, signal.SIGKILL)
            still = spinner.still()
            spinner.wait()
        time.sleep(FLUSHED_S)
        process.send_signal(signal.SIGINT)
    return {"came": came, "still": still, "ended": spinner.ended, "status": process.returncode}


def the_recorder(spinner, path, tier):
    """The recorder is killed meanwhile."""
    before = of_a_tracer()
    with recorder(path, tier) as process:
        made = of_a_tracer() - before
        with spinner.there() as came:
            written = is_written(path, spinner.pids.values())
            still = written and spinner.still()
            process.kill()
            process.wait()
        spinner.wait()
    until(lambda: not of_a_tracer() & made, GONE_S)
    left = sorted(map(str, of_a_tracer() & made))
    return {"came": came, "still": still, "made": len(made), "left": left}


def crash(spinner, path, tier):
    """The guest crashes meanwhile; does not return."""
    write_back_soon()
    recorder(path, tier)
    with spinner.there() as came:
        is_written(path, spinner.pids.values())
        time.sleep(FLUSHED_S)
        did = {"came": came, "still": spinner.still(), "pids": spinner.pids}
        crash_with(path, did)


KILLS = {"umounters": umounters, "recorder": the_recorder, "crash": crash}


def main():
    out, tier, killed, *phases = sys.argv[1:]
    with TemporaryDirectory(prefix="umtrace-kills-", ignore_cleanup_errors=True) as room:
        calls = calls_for(SECONDS)
        for phase in phases or PHASES:
            path = Path(out) / f"{tier}-{killed}-{phase}"
            spinner = Spinner(Path(room), phase, calls)
            did = KILLS[killed](spinner, path, tier) | {"pids": spinner.pids}
            path.with_suffix(".json").write_text(json.dumps(did))


if __name__ == "__main__":
    main()
