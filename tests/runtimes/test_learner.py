"""Cgroups that are born and gone before their umounts become rows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.owners.test_cgroup_paths import ID, OTHER, UID
from umtrace.model.events import BIRTH_DTYPE, BIRTH_TEXT
from umtrace.owners.knowledge import MOST
from umtrace.owners.recorded import RecordedFacts
from umtrace.owners.resolve import Asked, Owners
from umtrace.runtimes.files import HostFiles
from umtrace.runtimes.learner import HostLearner

POD = f"/kubepods/burstable/pod{UID}/{OTHER}"


def births(*changes):
    made = np.zeros(len(changes), BIRTH_DTYPE)
    for record, (cgroup_id, path) in zip(made, changes, strict=True):
        text = (path or "").encode() + b"\0"
        record["id"], record["gone"], record["len"] = cgroup_id, path is None, len(text)
        record["path"] = text[:BIRTH_TEXT]
    return made


@pytest.fixture
def learner(tmp_path):
    asked = []
    found = HostLearner(1, files=HostFiles(str(tmp_path)), path_of=asked.append)
    found.root, found.asked_for = tmp_path, asked
    return found


def test_a_cgroup_that_is_gone_has_its_path(learner):
    owners = Owners(learner)
    owners.born(births((7, f"/docker/{ID}"), (7, None), (8, POD)))
    told = owners.tell([Asked(cgroup_id=7, mntns=5), Asked(cgroup_id=8), Asked(cgroup_id=9)])
    assert [one.owner.container for one in told] == [ID, OTHER, None]
    assert told[1].owner.owner == UID
    assert learner.asked_for == [9]  # nobody else: their paths are known


def test_what_was_learnt_gives_the_same_owners_again(learner):
    config = learner.root / f"var/lib/docker/containers/{ID}/config.v2.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"Name": "/web"}))
    live = Owners(learner)
    live.born(births((7, f"/docker/{ID}")))
    config.unlink()
    rows = [[Asked(cgroup_id=7)], [Asked(cgroup_id=8), Asked(cgroup_id=7)], [Asked(cgroup_id=8)]]
    told = live.tell(rows[0]) + live.tell(rows[1])
    live.born(births((8, POD)))
    told += live.tell(rows[2])
    assert [one.owner.owner for one in told] == ["web", None, "web", UID]
    again = Owners(RecordedFacts(live.take_learnt()))
    assert again.tell([one for part in rows for one in part]) == told


def test_a_fact_is_given_once(learner):
    owners = Owners(learner)
    owners.born(births((7, f"/docker/{ID}")))
    for _ in range(3):
        owners.tell([Asked(cgroup_id=7, path=f"/var/lib/docker/containers/{ID}/mounts/shm")])
    assert [fact.what for fact in owners.take_learnt()] == ["host", "cgroup"]


def test_a_path_that_was_cut_is_not_known(learner):
    owners = Owners(learner)
    long = births((7, "/docker/" + "x" * 600))
    assert long["len"][0] > BIRTH_TEXT
    owners.born(long)
    assert owners.tell([Asked(cgroup_id=7)])[0].actor.unit is None


def test_what_is_of_the_command(tmp_path):
    answers = {1: True, 2: False, 3: None}
    learner = HostLearner(
        1, files=HostFiles(str(tmp_path)), path_of=lambda _i: None, is_of_command=answers.get
    )
    told = Owners(learner).tell([Asked(pid=pid) for pid in answers])
    assert [one.by_command for one in told] == [True, False, None]


def test_a_million_births_take_bounded_memory(learner):
    """Only what is remembered counts, so the sizes of all of it are looked at."""
    some = births(*((n, f"/docker/{n:064x}") for n in range(10_000)))
    for _ in range(100):  # each is born and gone
        some["id"] += 10_000
        some["gone"] = 0
        learner.born(some)
        some["gone"] = 1
        learner.born(some)
    sizes = {name: len(v) for name, v in vars(learner).items() if hasattr(v, "__len__")}
    assert max(sizes.values()) <= MOST
    assert sizes["_paths"] == MOST
