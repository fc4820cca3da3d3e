"""Every tier on real kernels: the oldest, one with PREEMPT_RT, the newest.

UMTRACE_LAB_KERNELS=5.10,6.12,... chooses others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.lab.loads import not_loaded
from tests.oracle import ledger
from tests.oracle.run import wrong
from tests.scripts import load_script
from umtrace.model.tiers import TIERS, names

pytestmark = pytest.mark.lab

#: of scripts/kernel-check: what each kernel is asked here. A guest takes minutes for each part, so
#: what depends little on the kernel is asked of one. All of all kernels: make lab-check.
PARTS = {
    "5.10": ("selftest", "nobtf", "loads", "oracle"),
    "6.1-rt": ("tiers", "share", "light", "ftrace"),
    "7": ("tiers", "share", "light", "ebusy", "innocence"),
}
#: where UMTRACE_LAB_KERNELS chooses the kernels
EVERY_PART = ("selftest", "share", "ebusy", "ftrace", "nobtf", "light", "loads", "innocence")
CHOSEN = os.environ.get("UMTRACE_LAB_KERNELS")
KERNELS = CHOSEN.split(",") if CHOSEN else list(PARTS)
#: those that are compared with each other: they know the path of every umount
NAMING = {tier.name for tier in TIERS if tier.names_mounts}
#: beside the oracle's ledger; every tier on four kernels takes an hour: make oracle
ORACLE_TIERS = ("fentry", "tracepoint")
LEAST_KINDS = 75
#: tiers whose programs run with preemption on; kprobes turn it off
PREEMPTIBLE = {"fentry", "tracepoint"}
#: exp_funnel_lock is inlined before 6.12
INLINED_FUNNEL = re.compile(r"5\.10|6\.1(-|$)")
#: bpf_loop came with 5.17
WITHOUT_LOOP = re.compile(r"5\.10")
#: where every grace period is a normal one
RT = {kernel for kernel in KERNELS if kernel.endswith("-rt")}


def parts_of(kernel):
    return EVERY_PART if CHOSEN else PARTS[kernel]


def asked(*parts):
    """Parametrize by the kernels that are asked one of these parts."""
    kernels = [kernel for kernel in KERNELS if set(parts) & set(parts_of(kernel))]
    return pytest.mark.parametrize("kernel", kernels)


class Results:
    """What scripts/kernel-check left for each kernel: one boot each, when it is first asked for."""

    def __init__(self, make):
        self._make, self._of = make, {}

    def of(self, kernel):
        if kernel not in self._of:
            self._of[kernel] = self._run(kernel)
        return self._of[kernel]

    def _run(self, kernel):
        if not shutil.which("qemu-system-x86_64"):
            pytest.skip("QEMU is not installed: make lab-deps, as root")
        out, carried = self._make("lab"), self._make("in")
        parts = [part for part in parts_of(kernel) if part != "oracle" or shutil.which("cc")]
        if "oracle" in parts:
            ledger.build(carried / "workload")
        inside = f"ORACLE_TIERS='{' '.join(ORACLE_TIERS)}' scripts/kernel-check {' '.join(parts)}"
        command = ["run-all", "--kernels", kernel, "--timeout", "2000", "--in", carried]
        done = subprocess.run(
            [sys.executable, "-m", "lab", *command, "--out", out, "--", inside],
            check=False,
            capture_output=True,
            text=True,
        )
        print(done.stdout[-3000:], done.stderr[-3000:])  # noqa: T201 - shown when a test fails
        return out / kernel


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    return Results(tmp_path_factory.mktemp)


def left(results, kernel, name):
    """The text of a file that the guest left; what it did instead, where it left none."""
    file = results.of(kernel) / name
    if not file.is_file():
        ends = [tail(results.of(kernel) / log) for log in ("output.log", "console.log")]
        pytest.fail("\n".join([f"the guest of {kernel} left no {name}", *ends]), pytrace=False)
    return file.read_text()


def tail(log):
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return f"{log.name}, the end:\n" + "\n".join(lines[-60:])


def selftest(results, kernel):
    return json.loads(left(results, kernel, "selftest.json"))


def failed(found):
    return [(c["what"], c["expected"], c["seen"]) for c in found["checks"] if not c["ok"]]


def skips_hits(kernel):
    """Where programs can be preempted, and the kernel skips hits of others meanwhile."""
    return kernel.startswith("7")


def counted_losses(tier, found):
    """Whether a tier that can lose hits there says that it did; docs/probes.md says why."""
    losses = {"events, names and stacks lost"}
    return tier in PREEMPTIBLE and bool(losses & {what for what, _expected, _seen in found})


@asked("selftest", "tiers")
def test_every_count_is_exact_in_every_tier(results, kernel):
    tiers = {tier["tier"]: tier for tier in selftest(results, kernel)["tiers"]}
    assert set(tiers) == set(names())
    wrong = {name: failed(tier) for name, tier in tiers.items() if failed(tier)}
    if skips_hits(kernel):
        wrong = {name: found for name, found in wrong.items() if not counted_losses(name, found)}
    assert not wrong


@asked("light")
@pytest.mark.parametrize("tier", ["fentry", "kprobe"])
def test_every_count_is_exact_with_light_probes(results, kernel, tier):
    (found,) = json.loads(left(results, kernel, f"light-{tier}.json"))["tiers"]
    wrong = failed(found)
    if not (skips_hits(kernel) and counted_losses(tier, wrong)):
        assert wrong == []
    unseen = {"final_put", "refcount", "mountpoint", "source", "lookup_ns"}
    assert not unseen & set(found["columns"])


@asked("selftest")
def test_tiers_that_run_at_once_say_the_same(results, kernel):
    pairs = selftest(results, kernel)["together"]
    assert len(pairs) == len(NAMING) - 1
    wrong = [pair for pair in pairs if failed(pair)]
    if skips_hits(kernel):
        wrong = [pair for pair in wrong if not any(pair["lost"])]
    assert not [(pair["tiers"], failed(pair)) for pair in wrong]
    # The RCU waits beside each other are in docs/kernels.md: no timing is asserted.
    # The kretprobes of the others hide a stack's callers on 5.10: the tracepoint tier sees no wait.
    assert all(pair["rcu_ratio"] for pair in pairs if "tracepoint" not in pair["tiers"])


@asked("selftest", "tiers")
@pytest.mark.parametrize("tier", sorted(NAMING))
def test_the_kind_of_grace_period_is_named(results, kernel, tier):
    tiers = {each["tier"]: each for each in selftest(results, kernel)["tiers"]}
    kinds = tiers[tier]["rcu_kinds"]
    if tier == "ftrace" and INLINED_FUNNEL.match(kernel) and kernel not in RT:
        assert kinds.keys() == {"null"}  # no function says it, and no stack is looked at
        return
    expected = {"normal"} if kernel in RT else {"expedited", "piggybacked"}
    assert kinds.keys() & expected
    assert kinds.keys() - {"null"} <= expected


@asked("selftest", "tiers")
@pytest.mark.parametrize("tier", ["fentry", "kprobe"])
def test_no_function_probe_is_refused(results, kernel, tier):
    doctor = json.loads(left(results, kernel, "doctor.json"))
    (plan,) = [each["plan"] for each in doctor["tiers"] if each["tier"] == tier]
    lost = {line["meaning"] for line in plan if line["state"] != "ok"}
    allowed = {"shared grace period"} if INLINED_FUNNEL.match(kernel) else set()
    allowed |= {"long lists", "first to be read"} if WITHOUT_LOOP.match(kernel) else set()
    # On PREEMPT_RT a semaphore has no such function.
    assert lost <= allowed | ({"lock wait"} if kernel in RT else set())


@asked("loads")
def test_every_program_loads_with_a_thousand_cpus(results, kernel):
    """Other numbers of CPUs and other kernels: test_loads."""
    found = [json.loads(line) for line in left(results, kernel, "loads.jsonl").splitlines()]
    assert [line["asked"] for line in found] == ["fentry", "kprobe"]
    assert not [line for line in map(not_loaded, found) if line]


@asked("innocence")
def test_the_best_tier_disturbs_nobody(results, kernel):
    """Other tiers, surfaces and kernels: test_innocence."""
    text = left(results, kernel, "innocence.txt")
    assert re.search(r"^1 passed, \d+ deselected", text, re.MULTILINE), text[-6000:]


@asked("share")
def test_no_task_pays_at_a_system_call_or_a_context_switch(results, kernel):
    plan = json.loads(left(results, kernel, "share-meta.json"))["plan"]
    probes = [line["probe"] for line in plan]
    assert "task_struct.task_works" in probes
    assert not [
        probe for probe in probes if re.match(r"(raw_)?syscalls:|sched:sched_switch", probe)
    ]


@asked("ebusy")
def test_no_held_mount_is_called_spurious(results, kernel):
    script = load_script("ebusy-matrix")
    run = json.loads(left(results, kernel, "ebusy.json"))
    assert script.wrongly_spurious(run["truths"], run["windows"]) == []
    calls = [pair for truth in run["truths"] for pair in script.called(truth, run)]
    assert {said for truth, said in calls if truth == "transient-ref"} <= {
        "transient-ref",
        "unknown",
        script.SLOW,
    }
    # How many are called transient depends on how fast the emulated machine is: the share is
    # in docs/ebusy-checks.md, and no assertion here.
    assert ("transient-ref", "transient-ref") in calls
    for after in ("lazy-tail", "shared-sb", "downstream"):
        assert (after, after) in calls


@asked("oracle")
@pytest.mark.parametrize("tier", ORACLE_TIERS)
def test_every_row_is_what_a_ledger_that_knows_nothing_of_umtrace_says(results, kernel, tier):
    if not shutil.which("cc"):
        pytest.skip("a C compiler is needed: apt-get install gcc libc6-dev")
    lines = map(json.loads, left(results, kernel, "oracle.jsonl").splitlines())
    found = {line["asked"]: line for line in lines}
    assert tier in found, "the guest ended before"
    assert wrong(found[tier]) == []
    assert found[tier]["skipped"] == {}, "a kind that this kernel and its userland have"
    assert found[tier]["kinds"] >= LEAST_KINDS


@asked("ftrace")
def test_ftrace_works_without_bpf(results, kernel):
    lines = left(results, kernel, "ftrace-check.txt").splitlines()
    assert any(line.startswith("ok  tier chosen without bpf(2): ftrace") for line in lines), lines
    assert not [line for line in lines if line.startswith(("WRONG", "Traceback"))]


@asked("nobtf")
def test_without_btf_kprobes_give_times_and_no_identities(results, kernel):
    doctor = json.loads(left(results, kernel, "nobtf-doctor.json"))
    tiers = {tier["tier"]: tier for tier in doctor["tiers"]}
    assert not tiers["fentry"]["works"]
    assert tiers["kprobe"]["works"]
    lost = [line["reason"] for line in tiers["kprobe"]["plan"] if line["state"] != "ok"]
    assert any("n_legitimized" in reason and "BTF" in reason for reason in lost)
    lines = left(results, kernel, "nobtf.jsonl").splitlines()
    rows = [row for row in map(json.loads, lines) if row["origin"] == "umount"]
    assert len(rows) == 45
    done = [row for row in rows if row["errno"] == 0]
    for column in ("latency_ns", "lookup_ns", "lock_ns", "tree_ns", "rcu_ns"):
        assert all(row[column] is not None for row in done), column
    for column in ("fstype", "dev", "mount_id", "mountpoint", "refcount", "final_put", "tail_ns"):
        assert all(row[column] is None for row in rows), column
