"""The tracer in a pod as Kubernetes runs it: the host's processes, a cgroup namespace of its own.

The pod is not privileged: it has the capabilities of the manifest in docs/use/containers.md.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.owners.test_cgroup_paths import ID, OTHER, UID
from tests.system.umtrace_command import COMMAND, umtrace
from umtrace.kernel.cgroups import cgroup2_root

pytestmark = pytest.mark.kernel

PAGE = Path(__file__).parents[2] / "docs/use/containers.md"
#: their numbers, as in linux/capability.h
NUMBERS = {"DAC_READ_SEARCH": 2, "SYS_PTRACE": 19, "SYSLOG": 34, "PERFMON": 38, "BPF": 39}
#: the file systems of the host, which has a container from before the recording
HOST = """
    set -e
    mount -t tracefs tracefs /sys/kernel/tracing
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    pods=/sys/fs/cgroup/kubepods/burstable/pod{uid}
    wait_for() {{ until test -s "$1"; do sleep 0.05; done; }}
    enter() {{ mkdir -p "$1"; echo $BASHPID > "$1/cgroup.procs"; }}
    container() {{
        enter "$pods/$1"; exec unshare -m sh -c "
            mount -t tmpfs own {place}; echo > {place}.$1; read go < {go}.$1; umount {place}; true"
    }}
    mkfifo {go}.{old} {go}.{young}
    container {old} & wait_for {place}.{old}
    (enter /sys/fs/cgroup/kubepods/besteffort/podtracer/tracer; exec unshare -m -C sh -c "$POD") &
    tracer=$!
    wait_for {ready}
    container {young} & wait_for {place}.{young}
    echo > {go}.{old}; echo > {go}.{young}
    for gone in {young} {old}; do until rmdir "$pods/$gone" 2> /dev/null; do sleep 0.05; done; done
    grep CapEff /proc/$tracer/status > {tmp}/caps
    readlink /proc/self/ns/cgroup /proc/$tracer/ns/cgroup > {tmp}/spaces
    grep -h mnt_id /proc/$tracer/fdinfo/* | while read name id; do
        grep "^$id " /proc/1/mountinfo || true; done > {tmp}/held
    kill -INT $tracer; wait $tracer || true
    cd /sys/fs/cgroup
    rmdir -p kubepods/besteffort/podtracer/tracer || true  # kubepods has the other pod
    rmdir -p "kubepods/burstable/pod{uid}"
"""
#: the pod's own view of the cgroups begins at its own
POD = """
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec setpriv --bounding-set={caps} --inh-caps={caps} --no-new-privs {record}
"""


def capabilities():
    """What the page gives the pod."""
    (added,) = re.findall(r"^ *add: \[(.*)\]$", PAGE.read_text(), re.M)
    return added.split(", ")


def test_owners_are_named_from_an_unprivileged_pod(tmp_path):
    if cgroup2_root() is None:
        pytest.skip("no cgroup2 file system is mounted")
    (tmp_path / "place").mkdir()
    caps = ",".join(["-all", *(f"+{name.lower()}" for name in capabilities())])
    record = [*COMMAND, "record", "-q", "-o", str(tmp_path / "r.umt"), "--ready-fd", "9"]
    words = " ".join(f"'{word}'" for word in record)
    pod = POD.format(
        caps=caps, record=f"{words} < /dev/null 9> {tmp_path}/ready 2> {tmp_path}/said"
    )
    names = {
        "uid": UID, "old": ID, "young": OTHER, "place": tmp_path / "place", "go": tmp_path / "go",
        "ready": tmp_path / "ready", "tmp": tmp_path,
    }  # fmt: skip
    scene = HOST.format(**names)
    done = subprocess.run(
        ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "bash", "-c", scene],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "POD": pod, "PYTHONPATH": str(Path.cwd())},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "held").read_text() == "", "a descriptor on a mount of the host"
    effective = int((tmp_path / "caps").read_text().split()[1], 16)
    assert effective == sum(1 << NUMBERS[name] for name in capabilities())
    assert len(set((tmp_path / "spaces").read_text().split())) == 2
    lines = umtrace("export", tmp_path / "r.umt", "--to", "jsonl").stdout.splitlines()
    rows = [row for row in map(json.loads, lines) if row["path"] == str(tmp_path / "place")]
    said = (tmp_path / "said").read_text()
    assert sorted(row["container"] or "" for row in rows) == sorted([ID, OTHER]), said
    assert {row["pod_uid"] for row in rows} == {UID}
