"""Real container engines: at least 95 % of a container's umounts have its owner, none a wrong one.

UMTRACE_LAB_ENGINES="podman-crun=1 docker=20" chooses other engines and numbers of containers,
UMTRACE_LAB_KERNELS other kernels; UMTRACE_ENGINES_RESULTS=FOLDER keeps what was measured, for
`python -m tests.lab.engines.table`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.lab.engines import judge, table
from tests.lab.guest import end_of, in_guest

KERNELS = os.environ.get("UMTRACE_LAB_KERNELS", "6.12").split(",")
NAMES = (
    "podman-crun", "podman-runc", "docker", "ctr", "crun", "runc", "lxc", "bwrap",
    "podman-crun-systemd", "podman-runc-systemd", "docker-systemd",
    "nspawn", "unit-systemd",
)  # fmt: skip
EVERY = " ".join(f"{name}={count}" for count in (1, 20) for name in NAMES)
WANTED = os.environ.get("UMTRACE_LAB_ENGINES", EVERY)
LEAST = 0.95
#: what one run cannot know, with the reason
EXCUSED = {
    "crun": "it unmounts a folder /tmp/crun.XXXXXX of its own before the container has a cgroup",
    "bwrap": "its containers have no name",
    "nspawn": "without a systemd its cgroup has no name",
}
#: no AppArmor: the guest has no parser of its profiles
OPTIONS = ("--with", "engines", "--mem", "4G", "--append", "apparmor=0")


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.parametrize("tier", ["fentry", "tracepoint"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_owners_of_real_engines(kernel, tier, tmp_path):
    command = f"python -m tests.lab.engines.matrix $LAB_OUT {tier} {WANTED}"
    done = in_guest(kernel, command, timeout_s=10_000, out=tmp_path, options=OPTIONS)
    results = tmp_path / "engines.jsonl"
    assert done.returncode == 0, end_of(done)
    if folder := os.environ.get("UMTRACE_ENGINES_RESULTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(results, Path(folder, f"{kernel}-{tier}.jsonl"))
    runs = [json.loads(line) for line in results.read_text().splitlines()]
    assert [run for run in runs if "failed" in run] == []
    assert [run for run in runs if run["wrong"]] == []
    assert len(runs) == len(WANTED.split())
    for run in runs:
        total = run["right"] + run["missing"]
        assert total >= run["containers"], run
        assert run["right"] >= LEAST * total or run["engine"] in EXCUSED, run


CONTAINERS = [
    {
        "name": "web", "identity": "a" * 64, "mntns": 7, "lived": [100, 200],
        "paths": ["/run/docker/x"], "makers": [12],
    },
    {
        "name": "db", "identity": "db", "mntns": 8, "lived": [100, 200],
        "paths": ["/var/lib/lxc/db"], "makers": [],
    },
]  # fmt: skip
ROW = {"path": None, "mountpoint": None, "mntns": 1, "pid": 1, "t_start": 150}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"path": "/var/run/docker/x/y"}, "web"),
        ({"mountpoint": "/var/lib/lxc/db"}, "db"),
        ({"path": "/var/lib/lxc/db2"}, None),
        ({"mntns": 8}, "db"),
        ({"mntns": 8, "t_start": 201}, None),
        ({"pid": 12}, "web"),
        ({"path": "/mnt"}, None),
    ],
)
def test_the_truth_of_a_row(row, name):
    found = judge.owner_of({**ROW, **row}, CONTAINERS)
    assert (found and found["name"]) == name


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"container": None}, judge.MISSING),
        ({"container": "a" * 64}, judge.RIGHT),
        ({"container": "a" * 12}, judge.RIGHT),
        ({"container": "a" * 3}, judge.WRONG),
        ({"container": "b" * 64}, judge.WRONG),
        ({"container": None, "owner": "x.service", "owner_kind": "unit"}, judge.WRONG),
        ({"container": None, "owner": None, "owner_kind": None}, judge.MISSING),
    ],
)
def test_the_verdict_of_a_row(said, verdict):
    assert judge.verdict_of(said, CONTAINERS[0]) == verdict


def test_the_table_takes_the_last_run_of_a_kind(tmp_path):
    run = {"engine": "crun", "containers": 1, "tier": "fentry", "kernel": "6.12.1+deb13-amd64"}
    lines = [
        {**run, "right": 0, "missing": 4, "wrong": 0},
        {**run, "right": 3, "missing": 1, "wrong": 0},
        {**run, "failed": "no"},
    ]
    results, page = tmp_path / "engines.jsonl", tmp_path / "page.md"
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page.write_text(f"before\n{table.BEGIN}old\n{table.END}after\n")
    table.write([results], page)
    row = "| crun | 6.12.1+deb13 | fentry | 1 | 4 | 75.0 % | 1 | 0 |"
    assert row in page.read_text()
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
