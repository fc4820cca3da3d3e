"""The numbers of grace periods are those that the kernel's own tracepoints give, to bpftrace.

Expedited: the number that the task itself takes ("snap"). Normal: one that began and ended in the
task's wait. UMTRACE_LAB_KERNELS=5.10,6.12,6.1-rt,7 chooses the kernels.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict

import pytest

from tests.lab.facts_workload import ROUNDS, TOGETHER
from tests.lab.guest import in_guests

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNELS = os.environ.get("UMTRACE_LAB_KERNELS", "6.12").split(",")
TIERS = ("fentry", "kprobe")
GP_STATE = 3  # the last bits of a sequence, not 0 while a grace period is in progress
WATCH = """
BEGIN { printf("ready\\n"); }
tracepoint:rcu:rcu_exp_grace_period {
	printf("%s %d %llu %llu\\n", str(args->gpevent), tid, nsecs, args->gpseq);
}
tracepoint:rcu:rcu_grace_period {
	printf("normal-%s %d %llu %llu\\n", str(args->gpevent), tid, nsecs, args->gp_seq);
}
kprobe:synchronize_rcu_expedited { printf("wait %d %llu 0\\n", tid, nsecs); }
kretprobe:synchronize_rcu_expedited { printf("waited %d %llu 0\\n", tid, nsecs); }
"""
INSIDE = f"""
for tier in {" ".join(TIERS)}; do
for normal in 0 1; do
	name=$tier-$normal
	echo $normal >/sys/kernel/rcu_normal
	cat /sys/kernel/rcu_normal >$LAB_OUT/$name.normal
	bpftrace -e '{WATCH}' >/tmp/$name.seen 2>$LAB_OUT/$name.err &
	for _ in $(seq 600); do grep -q ready /tmp/$name.seen && break; sleep 0.2; done
	sleep 3
	umtrace record -q --tier $tier -o /tmp/$name.umt -- \\
		python tests/lab/facts_workload.py /tmp/$name $LAB_OUT/$name.ledger together || exit
	kill -INT $! && wait $!
	grep -E '^(snap|normal-start|normal-end|wait|waited) ' /tmp/$name.seen >$LAB_OUT/$name.seen
	umtrace export /tmp/$name.umt --to jsonl -o $LAB_OUT/$name.jsonl || exit
done
done
"""
EACH = [(kernel, tier) for kernel in KERNELS for tier in TIERS]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("grace-periods")
    done = in_guests(KERNELS, INSIDE, out, timeout_s=1200)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return out


def seen(results, kernel, name):
    """What bpftrace saw: (kind, task, ns, number) in the order of time."""
    lines = (results / kernel / f"{name}.seen").read_text().splitlines()
    found = [(kind, *map(int, rest)) for kind, *rest in map(str.split, lines)]
    return sorted(found, key=lambda event: event[2])


def waits(results, kernel, name):
    """Each umount that was recorded with its number, with what bpftrace saw in its wait.

    A task unmounts one after the other, and waits once each time.
    """
    truth = json.loads((results / kernel / f"{name}.ledger").read_text())
    rows = [
        json.loads(row) for row in (results / kernel / f"{name}.jsonl").read_text().splitlines()
    ]
    rows = [row for row in rows if (row["path"] or "").startswith(truth["folder"])]
    assert len(rows) == TOGETHER * ROUNDS
    by_task, found = defaultdict(list), []
    for row in sorted(rows, key=lambda row: row["t_start"]):
        by_task[row["tid"]].append(row)
    events = seen(results, kernel, name)
    for task, mine in by_task.items():
        begun = [event for event in events if event[:2] == ("wait", task)]
        ended = [event for event in events if event[:2] == ("waited", task)]
        assert len(mine) == len(begun) == len(ended) == ROUNDS
        found += [(row, a[2], b[2]) for row, a, b in zip(mine, begun, ended, strict=True)]
    return events, found


def is_normal(results, kernel, name):
    return (results / kernel / f"{name}.normal").read_text().strip() == "1"


@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_an_expedited_number_is_the_one_that_the_task_takes(results, kernel, tier):
    name = f"{tier}-0"
    if is_normal(results, kernel, name):
        pytest.skip("PREEMPT_RT has no expedited grace periods")
    events, found = waits(results, kernel, name)
    for row, begin, end in found:
        taken = [n for kind, task, ns, n in events
                 if kind == "snap" and task == row["tid"] and begin <= ns <= end]  # fmt: skip
        assert row["gp_seq"] in (*taken, None)
        assert len(taken) == 1
    known = sum(row["gp_seq"] is not None for row, _begin, _end in found)
    assert known >= len(found) * 2 // 3


@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_a_normal_number_is_of_a_grace_period_that_is_all_in_the_wait(results, kernel, tier):
    name = f"{tier}-1"
    assert is_normal(results, kernel, name)
    events, found = waits(results, kernel, name)
    times = {
        kind: {(n & ~GP_STATE) + GP_STATE + 1: ns for what, _task, ns, n in events if what == kind}
        for kind in ("normal-start", "normal-end")
    }
    for row, begin, end in found:
        if row["gp_seq"] is not None:
            assert begin <= times["normal-start"][row["gp_seq"]]
            assert times["normal-end"][row["gp_seq"]] <= end
    known = sum(row["gp_seq"] is not None for row, _begin, _end in found)
    assert known >= len(found) * 2 // 3
