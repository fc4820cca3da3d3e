"""Which evidence names the owner, and what never does."""

from __future__ import annotations

import pytest

from tests.owners.test_cgroup_paths import ID, OTHER, UID
from umtrace.owners import facts
from umtrace.owners.facts import Fact, facts_from_arrow, facts_to_arrow
from umtrace.owners.knowledge import MOST, Known
from umtrace.owners.recorded import RecordedFacts
from umtrace.owners.resolve import NOBODY, Asked, Owners

HOST, OWN, FOREIGN = 1, 2, 3
#: cgroup ids
(DOCKER, SSH, RUNS, CONMON, POD, MONITOR) = range(10, 16)
(SERVICE, MOUNT, QUADLET, DEFAULT, LIAR) = range(20, 25)
CGROUPS = {
    DOCKER: "/system.slice/docker.service",
    SSH: "/user.slice/user-0.slice/session-1.scope",
    RUNS: f"/system.slice/docker-{ID}.scope",
    CONMON: f"/machine.slice/libpod-conmon-{OTHER}.scope",
    POD: f"/kubepods/burstable/pod{UID}/{OTHER}",
    MONITOR: "/lxc.monitor.web",
    SERVICE: "/system.slice/nginx.service",
    MOUNT: "/system.slice/mnt-data.mount",
    QUADLET: f"/system.slice/web.service/libpod-payload-{OTHER}",
    DEFAULT: "/default/redis",
    LIAR: f"/user.slice/user-7.slice/user@7.service/docker-{ID}.scope",
}
KNOWN = [
    Fact(what=facts.HOST, mntns=HOST),
    *(Fact(what=facts.CGROUP, cgroup_id=i, path=path) for i, path in CGROUPS.items()),
    Fact(what=facts.CONTAINER, container=ID, name="web", runtime="docker", image="nginx:1"),
    Fact(what=facts.LAYER, layer=OTHER, container=ID, runtime="docker"),
    Fact(what=facts.POD, pod_uid=UID, pod="shop/cart-0"),
]
MERGED = f"/var/lib/docker/overlay2/{OTHER}/merged"
SHM = f"/var/lib/docker/containers/{ID}/mounts/shm"


def tell(*asked, known=KNOWN):
    return [told.owner for told in Owners(RecordedFacts(known)).tell([Asked(**a) for a in asked])]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"cgroup_id": DOCKER, "mntns": HOST, "path": SHM}, ("web", "container", "mountpoint")),
        (
            {"cgroup_id": DOCKER, "mntns": HOST, "path": MERGED},
            ("web", "container", "mountpoint"),
        ),
        ({"cgroup_id": RUNS, "mntns": OWN, "path": "/data"}, ("web", "container", "mntns")),
        ({"cgroup_id": RUNS, "mntns": HOST, "path": "/data"}, ("web", "container", "actor")),
        ({"cgroup_id": CONMON, "mntns": HOST, "path": "/x"}, (OTHER[:12], "container", "actor")),
        ({"cgroup_id": MONITOR, "mntns": HOST}, ("web", "container", "actor")),
        ({"cgroup_id": POD, "mntns": OWN}, ("shop/cart-0", "pod", "mntns")),
        (
            {"cgroup_id": SSH, "mntns": HOST, "path": f"/var/lib/kubelet/pods/{UID}/volumes/a/b"},
            ("shop/cart-0", "pod", "mountpoint"),
        ),
        ({"cgroup_id": SERVICE, "mntns": OWN, "path": "/tmp"}, ("nginx.service", "unit", "mntns")),
        ({"cgroup_id": MOUNT, "mntns": HOST, "path": "/mnt"}, ("mnt-data.mount", "unit", "actor")),
        # Whose these are is not known: the caller unmounts for others.
        ({"cgroup_id": DOCKER, "mntns": HOST, "path": "/mnt"}, (None,) * 3),
        ({"cgroup_id": DOCKER, "mntns": OWN, "path": "/mnt"}, (None,) * 3),
        ({"cgroup_id": SSH, "mntns": HOST, "path": "/mnt"}, (None,) * 3),
        ({"cgroup_id": SERVICE, "mntns": HOST, "path": "/tmp"}, (None,) * 3),
        ({"cgroup_id": DEFAULT, "mntns": OWN, "path": "/tmp"}, (None,) * 3),
        # A layer of nobody we know, and a store's own mounts: nothing else may name an owner.
        (
            {"cgroup_id": RUNS, "mntns": HOST, "path": f"/var/lib/docker/overlay2/{ID}/merged"},
            (None,) * 3,
        ),
        ({"cgroup_id": RUNS, "mntns": HOST, "path": "/run/docker/netns/ab"}, (None,) * 3),
        ({"cgroup_id": 99}, (None,) * 3),
        ({}, (None,) * 3),
    ],
)  # fmt: skip
def test_the_evidence_in_order_of_trust(asked, expected):
    (owner,) = tell(asked)
    assert (owner.owner, owner.owner_kind, owner.owner_by) == expected


def test_all_the_names_of_a_container():
    (owner,) = tell({"cgroup_id": DOCKER, "mntns": HOST, "path": SHM})
    assert (owner.container, owner.container_name, owner.image) == (ID, "web", "nginx:1")
    assert (owner.runtime, owner.owner_claimed, owner.unit, owner.pod) == (
        "docker", False, None, None,
    )  # fmt: skip


def test_a_path_within_a_container_is_the_containers_own():
    (owner,) = tell({"cgroup_id": POD, "mntns": OWN, "path": SHM})
    assert (owner.owner, owner.owner_by) == ("shop/cart-0", "mntns")


def test_a_path_in_another_namespace_is_claimed():
    (owner,) = tell({"cgroup_id": SSH, "mntns": FOREIGN, "path": SHM})
    assert (owner.container, owner.owner_claimed) == (ID, True)
    (unsure,) = tell({"cgroup_id": SSH, "mntns": FOREIGN, "path": SHM}, known=KNOWN[1:])
    assert (unsure.container, unsure.owner_claimed) == (ID, None)


def test_a_cgroup_that_a_user_named_is_claimed():
    (owner,) = tell({"cgroup_id": LIAR, "mntns": OWN})
    assert (owner.container, owner.owner_claimed) == (ID, True)


def test_a_file_of_the_runtime_confirms_a_cgroup():
    said = {"what": facts.CGROUP, "runtime": "podman"}
    quadlet = Fact(cgroup_id=QUADLET, path=CGROUPS[QUADLET], container=OTHER, **said)
    redis = Fact(cgroup_id=DEFAULT, path="/default/redis", container="redis", **said)
    first, second = tell(
        {"cgroup_id": QUADLET, "mntns": OWN}, {"cgroup_id": DEFAULT, "mntns": 9},
        known=[*KNOWN, quadlet, redis],
    )  # fmt: skip
    assert (first.container, first.owner_claimed, first.unit) == (OTHER, False, "web.service")
    assert (second.owner, second.container, second.owner_claimed) == ("redis", "redis", False)


def test_a_namespace_with_tasks_of_two_containers_is_nobodys():
    asked = [{"cgroup_id": RUNS, "mntns": OWN}, {"cgroup_id": POD, "mntns": OWN}]
    assert [owner.owner for owner in tell(*asked, asked[0])] == ["web", None, None]


def test_a_number_of_a_namespace_that_was_given_again():
    asked = [{"cgroup_id": RUNS, "mntns": OWN}, {"cgroup_id": POD, "mntns": OWN}]
    gone = Fact(what=facts.GONE, cgroup_id=RUNS, at_row=1)
    assert [o.owner for o in tell(*asked, known=[*KNOWN, gone])] == ["web", "shop/cart-0"]
    ends = asked[0] | {"ends": True}
    assert [o.owner for o in tell(ends, asked[1])] == ["web", "shop/cart-0"]


def test_the_first_process_of_a_container_says_whose_namespace_it_is():
    first = Fact(what=facts.NAMESPACE, mntns=OWN, container=ID, runtime="docker")
    told = tell({"cgroup_id": POD, "mntns": OWN}, {"mntns": OWN}, known=[*KNOWN, first])
    assert [owner.owner for owner in told] == ["web", "web"]


def test_names_of_another_runtime_are_not_taken():
    lxc = Fact(what=facts.CONTAINER, container="web", runtime="containerd", name="other")
    (owner,) = tell({"cgroup_id": MONITOR, "mntns": HOST}, known=[*KNOWN, lxc])
    assert (owner.owner, owner.container_name) == ("web", None)


def test_the_actor_is_told_apart_from_the_owner():
    (told,) = Owners(RecordedFacts(KNOWN)).tell([Asked(cgroup_id=DOCKER, mntns=HOST, path=SHM)])
    assert (told.actor.unit, told.actor.container, told.by_command) == (
        "docker.service",
        None,
        None,
    )


def test_a_preview_changes_nothing():
    owners = Owners(
        RecordedFacts([*KNOWN, Fact(what=facts.TASK, pid=5, by_command=True, at_row=1)])
    )
    (seen,) = owners.tell([Asked(cgroup_id=RUNS, mntns=OWN)], rows=False)
    assert seen.owner.owner_by == "actor"
    rows = owners.tell([Asked(cgroup_id=POD, mntns=OWN, pid=5), Asked(pid=5)])
    assert [row.by_command for row in rows] == [None, True]
    assert rows[0].owner.owner == "shop/cart-0"


def test_any_split_gives_the_same_owners():
    late = [Fact(what=facts.CONTAINER, container=ID, name="new", at_row=3)]
    asked = [Asked(cgroup_id=RUNS, mntns=OWN)] * 6
    whole = Owners(RecordedFacts([*KNOWN, *late])).tell(asked)
    for size in (1, 2, 4):
        owners = Owners(RecordedFacts([*KNOWN, *late]))
        parts = [owners.tell(asked[at : at + size]) for at in range(0, 6, size)]
        assert [one for part in parts for one in part] == whole
    assert [one.owner.owner for one in whole] == ["web"] * 3 + ["new"] * 3


def test_facts_keep_through_arrow():
    some = [*KNOWN, Fact(what=facts.TASK, pid=7, by_command=True, at_row=9)]
    assert list(facts_from_arrow(facts_to_arrow(some, 5))) == some


def test_facts_that_make_no_sense_are_left_out():
    odd = [Fact(what="later"), Fact(what=facts.CGROUP), Fact(what=facts.CONTAINER, name="x")]
    assert list(facts_from_arrow(facts_to_arrow(odd, 5))) == []
    (long,) = facts_from_arrow(
        facts_to_arrow([Fact(what=facts.CONTAINER, container="x", name="y" * 9999)], 5)
    )
    assert len(long.name) == facts.LONGEST
    unordered = [Fact(what=facts.CGROUP, cgroup_id=1, path="/", at_row=at) for at in (7, -5, 3)]
    found = list(RecordedFacts(unordered).learn(0, [Asked()] * 8))
    assert [fact.at_row for fact in found] == [7, 7, 7]


def test_what_is_remembered_is_bounded():
    known = Known()
    for number in range(MOST + 10):
        known[number] = True
    assert len(known) == MOST
    assert 9 not in known


def test_nothing_is_nobody():
    assert tell({}, known=[]) == [NOBODY]
