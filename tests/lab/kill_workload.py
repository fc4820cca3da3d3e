"""Kills while umounts hang; the caller has a mount namespace of its own.

``kill_workload OUT TIER umounters|recorder``: kill -9 of those that unmount, or of the recorder.
``kill_workload DISK TIER crash``: crash the guest while a recorder writes to the file
system DISK. What was done is in TIER-KILLED.json, with the recording beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bpf_programs import bpf_program_ids
from tests.lab.held_umounts import Held, until
from umtrace.model.errors import UmtraceError
from umtrace.model.kinds import Kind
from umtrace.recording import Recording

READY_S, GONE_S = 120, 30
WRITTEN_S = 60
#: the file system of a disk writes five times a second; a guest and its host may be slow
FLUSHED_S = 3
TRACEFS = Path("/sys/kernel/tracing")
VM = Path("/proc/sys/vm")


def recorder(path, tier):
    """Start a recorder; return it once its probes are attached."""
    ready, write = os.pipe()
    command = [sys.executable, "-m", "umtrace", "record", "-q", "--tier", tier, "-o", str(path)]
    process = subprocess.Popen([*command, "--ready-fd", str(write)], pass_fds=[write])
    os.close(write)
    assert os.read(ready, 1), "nothing is recorded"
    os.close(ready)
    return process


def of_a_tracer():
    """Return what a tracer has in the kernel: programs, dynamic events, trace instances."""
    listed = TRACEFS / "kprobe_events"
    events = set(listed.read_text().splitlines()) if listed.exists() else set()
    return bpf_program_ids() | events | {path.name for path in TRACEFS.glob("instances/*")}


def is_written(path, pids):
    """Wait until the recording has the beginning of each umount; return whether it came."""
    end = time.monotonic() + WRITTEN_S
    while not set(pids) <= begun_in(path):
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True


def begun_in(path):
    """The tasks whose umount the recording has begun, as far as it is written."""
    found = set()
    with suppress(UmtraceError, OSError):
        for batch in Recording.open(path).event_batches():
            found |= set(batch.events["tid"][batch.events["kind"] == Kind.ENTER].tolist())
    return found


def kill_umounters(room, path, tier):
    """All umounters are killed while each is in its phase; the recorder goes on to its end."""
    with recorder(path, tier) as process:
        with Held(room) as held:
            began, there = held.begin_all(), held.still()
            for pid in held.pids.values():
                os.kill(pid, signal.SIGKILL)
            time.sleep(FLUSHED_S)
        process.send_signal(signal.SIGINT)
    return {
        "began": began, "there": there, "ended": held.ended, "pids": held.pids,
        "status": process.returncode,
    }  # fmt: skip


def kill_recorder(room, path, tier):
    """The recorder is killed while an umount is in each phase."""
    before = of_a_tracer()
    with recorder(path, tier) as process:
        made = of_a_tracer() - before
        with Held(room) as held:
            began = held.begin_all()
            written = is_written(path, held.pids.values())
            there = held.still()
            process.kill()
            process.wait()
    until(lambda: not of_a_tracer() & made, GONE_S)
    left = sorted(map(str, of_a_tracer() & made))
    return {
        "began": began, "there": there, "pids": held.pids, "written": written,
        "made": len(made), "left": left,
    }  # fmt: skip


def write_back_soon():
    """Have the file system write soon what the recorder passes to it; the default is 30 s."""
    (VM / "dirty_expire_centisecs").write_text("20")
    (VM / "dirty_writeback_centisecs").write_text("20")


def crash_with(path, did):
    """Store what was done, and crash the guest; does not return."""
    with path.with_suffix(".json").open("w") as file:
        json.dump(did, file)
        file.flush()
        os.fsync(file.fileno())
    Path("/proc/sysrq-trigger").write_text("c")


def crash(room, path, tier):
    """The guest crashes while an umount is in each phase; does not return."""
    write_back_soon()
    recorder(path, tier)
    with Held(room) as held:
        began = held.begin_all()
        written = is_written(path, held.pids.values())
        time.sleep(FLUSHED_S)
        did = {"began": began, "there": held.still(), "pids": held.pids, "written": written}
        crash_with(path, did)


KILLS = {"umounters": kill_umounters, "recorder": kill_recorder, "crash": crash}


def main():
    out, tier, killed = sys.argv[1:]
    path = Path(out) / f"{tier}-{killed}"
    with TemporaryDirectory(prefix="umtrace-kills-", ignore_cleanup_errors=True) as room:
        did = KILLS[killed](Path(room), path, tier)
    path.with_suffix(".json").write_text(json.dumps(did))


if __name__ == "__main__":
    main()
