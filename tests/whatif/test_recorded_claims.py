"""What is read of a recording: its claims, or the reason why they are unknown."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import umtrace
from tests.api.conftest import NO_LOSS, write_recording
from tests.bpf.test_layout import HEADER
from tests.stats.rows import T0_NS
from tests.whatif.loads import MS, umount
from umtrace.cli.main import umtrace as command_line
from umtrace.model.events import EVENT_DTYPE, EventBatch
from umtrace.model.kinds import FOREIGN, Kind
from umtrace.model.plan_line import PlanLine
from umtrace.probes.purposes import PURPOSES
from umtrace.query.claims import (
    KEY,
    LOST,
    NO_CALL,
    NO_KEY,
    NO_PROBE,
    PROBE,
    TOO_MANY,
    recorded_claims,
    within_of,
)
from umtrace.whatif.claims import WITHIN_NS

CLOCK_NS = 1_000_000_000  # CLOCK_MONOTONIC at T0_NS
LOOP, DISK = 7 << 20, 8 << 20 | 1
OPENAT, MOUNT, FSCONFIG, IOCTL = 258, 166, 432, 17  # numbers plus 1
ROWS = [
    umount(
        n * 100 * MS, tid=5, rcu=MS, shutdown=MS, mode="lazy", n_held=0, dev="7:0", origin="umount"
    )
    for n in range(3)
]


def event(at, kind, **given):
    values = {"ts_ns": CLOCK_NS + at, "kind": kind, "tid": 9, "cpu": FOREIGN} | given
    made = np.zeros(1, EVENT_DTYPE)
    for name, value in values.items():
        made[name] = value
    return made


def claimed(at, **given):
    return event(at, Kind.CLAIMED, **{"ret": OPENAT, "a": 63, "b": LOOP, **given})


def written(path, *events, **meta):
    shut = [event(n * 100 * MS + MS, Kind.CLEANUP, tid=5, a=1, b=LOOP) for n in range(3)]
    ordered = sorted([*shut, *events], key=lambda each: int(each["ts_ns"][0]))
    meta.setdefault("extra", {KEY: WITHIN_NS})
    return write_recording(path, ROWS, events=EventBatch(np.concatenate(ordered)), **meta)


def counted(path):
    return umtrace.load(path).whatif("B", normal_gp="15ms").answers


def test_claims_of_a_recording(tmp_path):
    found = counted(written(tmp_path / "rec.umt", claimed(3 * MS), claimed(350 * MS)))
    assert (found.claimed, found["B"].claims, found["A"].claims) == (2, 1, 0)


def test_mounts_find_the_superblock_that_is_there(tmp_path):
    others = [claimed(3 * MS, ret=ret) for ret in (MOUNT, FSCONFIG, IOCTL)]
    assert counted(written(tmp_path / "rec.umt", *others)).claimed == 0
    disk = [event(MS, Kind.CLEANUP, tid=5, a=1, b=DISK), claimed(3 * MS, ret=IOCTL, b=DISK)]
    assert counted(written(tmp_path / "disk.umt", *disk)).claimed == 1


def test_a_superblock_that_lives_on_is_no_shutdown(tmp_path):
    rec = umtrace.load(written(tmp_path / "rec.umt", event(MS, Kind.CLEANUP, a=2, b=DISK),
                               claimed(3 * MS)))  # fmt: skip
    found = recorded_claims(rec.select())
    assert set(found.shutdowns.dev) == {found.devs.index("7:0")}
    assert found.at.tolist() == [T0_NS + 3 * MS]


@pytest.mark.parametrize(
    ("why", "events", "meta"),
    [
        (NO_KEY, [claimed(3 * MS)], {"extra": {}}),
        (NO_PROBE, [], {"extra": {KEY: None}}),
        (TOO_MANY, [claimed(3 * MS, a=0)], {}),
        (NO_CALL, [claimed(3 * MS, ret=0)], {}),
        (LOST, [], {"losses": replace(NO_LOSS, ring_events=1)}),
        (LOST, [], {"losses": replace(NO_LOSS, probe_misses=1)}),
        (
            LOST,
            [],
            {"losses": replace(NO_LOSS, probe_misses_by={"um_return_bd_prepare_to_claim": 1})},
        ),
    ],
)
def test_why_they_are_unknown(tmp_path, why, events, meta):
    path = written(tmp_path / "rec.umt", *events, **meta)
    found = counted(path)
    assert (found.claimed, found["B"].claims, found["B"].unknown["claims"]) == (None, None, why)
    done = CliRunner().invoke(command_line, ["whatif", str(path), "--json", "--normal-gp", "15ms"])
    printed = json.loads(done.stdout)
    assert [each["claims"] for each in printed["designs"] if each["design"] == "B"] == [None]


def test_other_misses_do_not_matter(tmp_path):
    losses = replace(NO_LOSS, probe_misses=3, probe_misses_by={"um_entry_mntput": 3})
    assert counted(written(tmp_path / "rec.umt", losses=losses)).claimed == 0


def test_the_screen_has_a_line_where_there_are_claims(tmp_path):
    path = written(tmp_path / "rec.umt", claimed(3 * MS))
    done = CliRunner().invoke(command_line, ["whatif", str(path), "--normal-gp", "15ms"])
    text = " ".join(done.stdout.split())
    assert "EBUSY instead, of 1 claim of a device soon after its umount: B 1 (for 19.0 ms," in text
    without = written(tmp_path / "none.umt")
    assert "EBUSY" not in CliRunner().invoke(command_line, ["whatif", str(without)]).stdout


def test_which_sources_send_them():
    plan = [PlanLine(meaning=PROBE, probe="bd_prepare_to_claim", how="kprobe")]
    assert PROBE in {purpose.name for purpose in PURPOSES}
    assert within_of(plan, "kprobe") == WITHIN_NS
    assert within_of(plan, "ftrace") is None
    assert within_of([replace(plan[0], state="lost")], "fentry") is None


def test_the_programs_send_them_for_as_long():
    text = (HEADER.parent / "claims.h").read_text()
    assert f"#define UM_CLAIM_NS {WITHIN_NS}ULL" in text
