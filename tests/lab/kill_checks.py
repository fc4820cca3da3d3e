"""What the recordings of tests.lab.kill_workload must say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from tests.lab.held_umounts import PHASES
from umtrace.recording import Recording


def umounters_have_rows(path):
    """Each umounter that was killed has one row; the recording is whole."""
    did = json.loads(path.with_suffix(".json").read_text())
    was_in_all_phases(did)
    assert did["status"] == 0
    assert set(did["ended"].values()) == {signal.SIGKILL}
    assert not Recording.open(path).is_open
    for phase, found in rows_by_phase(path, did).items():
        (row,) = found
        if phase == "lookup":  # the kernel gives it up, or it fails when the server dies
            assert row["errno"] or row["incomplete_why"] == "died", row
        else:  # the kernel ends the call, and then the task
            assert (row["complete"], row["errno"]) == (True, 0), row


def recorder_left_nothing(path):
    """Nothing stays in the kernel, and the recording has what was begun."""
    did = json.loads(path.with_suffix(".json").read_text())
    was_in_all_phases(did)
    assert did["made"] > 0
    assert did["left"] == []
    says_what_was_begun(path, did)


def crash_left_what_was_begun(path):
    """The recording on a disk that a crash left has what was begun."""
    did = json.loads(path.with_suffix(".json").read_text())
    was_in_all_phases(did)
    says_what_was_begun(path, did)


def was_in_all_phases(did):
    for state in ("began", "there"):
        assert did[state] == dict.fromkeys(PHASES, True), state
    assert did.get("written", True)


def rows_by_phase(path, did):
    """Return the rows of the umount that was in each phase."""
    rows = umounts_of(path)
    return {phase: [row for row in rows if row["tid"] == pid] for phase, pid in did["pids"].items()}


def spinners_have_rows(path):
    """Each umounter that was killed has the row of an umount that succeeded: none can end there."""
    did = was_there(path)
    assert did["status"] == 0
    for who, pid in did["pids"].items():
        (row,) = [row for row in umounts_of(path) if row["tid"] == pid]
        assert (row["complete"], row["errno"]) == (True, 0), (who, row)


def spinners_are_left(path):
    """Nothing stays in the kernel, and the recording has what was begun."""
    did = was_there(path)
    assert did["made"] > 0
    assert did["left"] == []
    says_what_was_begun(path, did)


def spinners_are_after_a_crash(path):
    """The recording on a disk that a crash left has what was begun."""
    says_what_was_begun(path, was_there(path))


def was_there(path):
    """What the workload did, once each umount was where it should be."""
    did = json.loads(path.with_suffix(".json").read_text())
    assert did["came"]
    assert did["still"]
    return did


def umounts_of(path):
    """Return the rows of umount(2)."""
    return [row for row in Recording.open(path).umounts().to_pylist() if row["origin"] == "umount"]


def says_what_was_begun(path, did):
    """It can be read as it is; a repair makes the rows of what had not ended out of the events."""
    assert Recording.open(path).is_open
    for command in ("report", "repair"):
        done = subprocess.run(
            [sys.executable, "-m", "umtrace", command, path],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert not Recording.open(path).is_open
    for phase, rows in rows_by_phase(path, did).items():
        said = [(row["complete"], row["incomplete_why"]) for row in rows]
        assert said == [(False, "running")], phase
