"""What umtrace itself asks the kernel is in no recording; what others do always is."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from tests.system.umtrace_command import rows_under, umtrace
from umtrace.model.events import EVENT_DTYPE, FOREIGN, EventBatch, Kind
from umtrace.pipeline import offline
from umtrace.recording import Recording
from umtrace.sources import questions as module
from umtrace.sources.questions import Questions

DEV = 7 << 20 | 3


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "asking"
    made.mkdir(0o700)
    return made


def note(folder, text, mode=0o600):
    (folder / "asked").write_text(text)
    (folder / "asked").chmod(mode)


def events(*rows):
    """Return events of (tid, time, kind, cpu, b)."""
    made = np.zeros(len(rows), EVENT_DTYPE)
    for number, (tid, ts, kind, cpu, b) in enumerate(rows):
        made[number]["tid"], made[number]["ts_ns"], made[number]["kind"] = tid, ts, kind
        made[number]["cpu"], made[number]["b"] = cpu, b
    return EventBatch(events=made)


CALL = ((9, 1_100, Kind.ENTER, 0, 0), (9, 1_200, Kind.EXIT, 0, 0))


def left(folder, *rows):
    questions = Questions(folder)
    batch = questions.leave_out(events(*rows))
    return [(int(e["tid"]), int(e["ts_ns"])) for e in batch.events], questions.left_out


def test_a_question_is_left_out_and_counted(folder):
    note(folder, "begin 9 1000 mount 5\nend 9 1300 mount 5\n")
    assert left(folder, *CALL) == ([], 1)


def test_a_question_that_has_not_ended_yet(folder):
    note(folder, "begin 9 1000 mount 5\n")
    assert left(folder, *CALL) == ([], 1)


@pytest.mark.parametrize(
    "text",
    [
        "begin 8 1000 mount 5\nend 8 1300 mount 5\n",  # another task's
        "begin 9 1150 mount 5\nend 9 1300 mount 5\n",  # it began before: only what came since
        "begin 9 1 mount 5\nend 9 2 mount 5\n" + "x" * 90,
        "begin 9 -1 mount 5\nend x 1300 mount\n\x00\xff\n",
        "",
    ],
)
def test_what_others_do_stays(folder, text):
    note(folder, text)
    late = tuple((tid, ts + 10**9, kind, cpu, b) for tid, ts, kind, cpu, b in CALL)
    assert (9, 1_100 + 10**9) in left(folder, *late)[0]


def test_a_file_that_others_may_write_hides_nothing(folder):
    text = "begin 9 1000 mount 5\nend 9 1300 mount 5\n"
    note(folder, text, 0o666)
    assert len(left(folder, *CALL)[0]) == 2
    note(folder, text)
    folder.chmod(0o777)
    assert len(left(folder, *CALL)[0]) == 2


def test_a_link_in_its_place_hides_nothing(folder, tmp_path):
    note(tmp_path, "begin 9 1000 mount 5\nend 9 1300 mount 5\n")
    (folder / "asked").symlink_to(tmp_path / "asked")
    assert len(left(folder, *CALL)[0]) == 2


def test_what_a_question_meets_of_other_umounts_stays(folder):
    note(folder, "begin 9 1000 mount 5\nend 9 1300 mount 5\n")
    others = [(9, 1_150, Kind.PUT, FOREIGN, 0), (9, 1_160, Kind.WALK, FOREIGN, 0)]
    assert len(left(folder, *CALL, *others)[0]) == 2


def test_a_claim_of_ours_is_no_cause_and_no_victim(folder):
    note(folder, "begin 9 1000 device 7:3\nend 9 1300 device 7:3\n")
    mine = (9, 1_100, Kind.FAILED, FOREIGN, DEV)
    refused = (4, 1_200, Kind.FAILED, FOREIGN, DEV)  # by our claim
    others = [(4, 1_200, Kind.FAILED, FOREIGN, DEV + 1), (4, 9_000, Kind.FAILED, FOREIGN, DEV)]
    assert left(folder, mine, refused, *others) == ([(4, 1_200), (4, 9_000)], 1)


SCRIPT = """
import json, os, subprocess, sys, time
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
point = sys.argv[1]; os.mkdir(point); syscalls.mount("none", point, "tmpfs")
def ask(path):
    command = [sys.executable, "-m", "umtrace", "why", "--json", "--ask-kernel", path]
    return json.loads(subprocess.run(command, capture_output=True, text=True).stdout)["kernel"]
said = []
for _ in range(40):
    said.append(ask(point))
    if said[-1]["said"] == "free": break
    time.sleep(0.3)  # another umtrace asks just now
with open(point + "/x", "w"):
    for _ in range(40):
        said.append(ask(point))
        if said[-1]["said"] == "busy": break
        time.sleep(0.3)
syscalls.timed_umount(point.encode(), 4)  # the same call, by somebody else
syscalls.timed_umount(point.encode(), 0)
print(json.dumps([each["said"] for each in said]))
"""


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_questions_are_no_rows_of_a_recording(tmp_path):
    path, point = tmp_path / "r", tmp_path / f"asked-{os.getpid()}"
    done = umtrace("record", "-o", path, "--", sys.executable, "-c", SCRIPT, point, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"free", "busy"} <= set(said)
    asked = sum(each in {"free", "busy"} for each in said)
    assert [row["flags"] for row in rows_under(path, tmp_path)] == [4, 0]
    recording = Recording.open(path)
    rows = [r for batch in recording.batches("umounts") for r in batch.to_pylist()]
    again = [r for tick in offline.replay(recording) for r in tick.rows.to_pylist()]
    assert not [r for r in rows if r["path"] == point.name]
    assert not [r for r in again if r["path"] == point.name]
    counted = json.loads((path / "meta.json").read_text())["questions"]
    assert counted >= asked  # others may ask on this host meanwhile
    assert f"left out: {counted} call" in done.stderr
    assert f"left out: {counted} call" in umtrace("report", path).stdout


def test_questions_of_other_times_cost_a_batch_nothing(folder, monkeypatch):
    hour = 3600 * 10**9
    times = [n * hour for n in range(1, 200)]
    note(folder, "".join(f"begin 9 {t} mount 5\nend 9 {t + 1000} mount 5\n" for t in times))
    compared = []
    monkeypatch.setattr(module, "_during", lambda events, *_: compared.append(0) or events["cpu"])
    batch = events(
        (9, 20 * hour + 10 * 10**9, Kind.ENTER, 0, 0), (9, 20 * hour + 11 * 10**9, Kind.EXIT, 0, 0)
    )
    assert Questions(folder).leave_out(batch) is batch
    assert compared == []
