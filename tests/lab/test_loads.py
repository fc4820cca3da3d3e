"""Every program of every BPF tier loads, as if the host had up to 1,024 possible CPUs.

UMTRACE_LAB_KERNELS=5.10,6.12,... chooses other kernels. `make test` does the largest number on the
oldest one.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.lab.guest import end_of, in_guest, in_guests
from tests.lab.loads import not_loaded
from umtrace.probes.counting import LISTS, MOST_CPUS, REFERENCES, counting_constants, counting_lines

CPUS = (8, 64, 256, 1024)
BEYOND = 4096
EVERY = "5.10,5.10-security,6.1,6.1-rt,6.12,6.12-rt,6.18,7,7-rt"
KERNELS = os.environ.get("UMTRACE_LAB_KERNELS", EVERY).split(",")
#: the verifier's limit is a million; what later versions add must fit, too
MOST_INSTRUCTIONS = 600_000
TIERS = ("fentry", "kprobe")
INSIDE = f"""
scripts/load-check --probes full {" ".join(map(str, (*CPUS, BEYOND)))} >$LAB_OUT/full.jsonl
scripts/load-check --probes light --tiers fentry,kprobe {CPUS[-1]} >$LAB_OUT/light.jsonl
"""
in_the_lab = [pytest.mark.lab, pytest.mark.long]


def lab(*options):
    """Apply the marks of a test that needs the guests."""
    return pytest.param(*options, marks=in_the_lab)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What scripts/load-check printed on each kernel, two at a time."""
    out = tmp_path_factory.mktemp("loads")
    done = in_guests(KERNELS, INSIDE, out, timeout_s=1800)
    print(done.stdout[-3000:], done.stderr[-3000:])  # noqa: T201 - shown when a test fails
    return out


def lines(results, kernel, probes="full"):
    file = results / kernel / f"{probes}.jsonl"
    assert file.is_file(), "the guest ended before"
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("kernel", [lab(kernel) for kernel in KERNELS])
def test_every_program_loads_with_any_number_of_cpus(results, kernel):
    found = lines(results, kernel) + lines(results, kernel, "light")
    wanted = {(tier, "full", cpus) for tier in TIERS for cpus in (*CPUS, BEYOND)}
    wanted |= {(tier, "light", CPUS[-1]) for tier in TIERS} | {("tracepoint", "full", BEYOND)}
    assert {(line["asked"], line["probes"], line["cpus"]) for line in found} == wanted
    refused = [(line["asked"], line["cpus"], not_loaded(line)) for line in found]
    assert not [each for each in refused if each[2]]


@pytest.mark.parametrize("kernel", [lab(kernel) for kernel in KERNELS])
def test_the_plan_is_the_same_with_any_number_of_cpus(results, kernel):
    for tier in TIERS:
        plans = {
            line["cpus"]: line["plan"] for line in lines(results, kernel) if line["asked"] == tier
        }
        said = {
            cpus: [each for each in plan if each["state"] != "ok"] for cpus, plan in plans.items()
        }
        beyond = said.pop(BEYOND)
        assert len({json.dumps(each) for each in said.values()}) == 1
        assert [each for each in beyond if each not in said[CPUS[0]]] == [
            each.to_dict() for each in counting_lines(BEYOND, long_loops=True)
        ]


@pytest.mark.parametrize("kernel", [lab(kernel) for kernel in KERNELS])
def test_the_verifier_has_room_left(results, kernel):
    most = [
        (line["asked"], line["cpus"], line["most"])
        for line in lines(results, kernel)
        if line["most"]
    ]
    assert not [each for each in most if each[2]["verified"] > MOST_INSTRUCTIONS]


@pytest.mark.lab
@pytest.mark.long
def test_a_host_with_that_many_cpus_counts_references():
    """Kernels before 6.9 have as many possible CPUs as they are asked to have."""
    options = ("--append", f"possible_cpus={CPUS[-1]}", "--mem", "4G")
    inside = "cat /sys/devices/system/cpu/possible && umtrace selftest --tier fentry"
    done = in_guest("5.10", inside, options=options)
    assert done.returncode == 0, end_of(done)
    assert done.stdout.startswith(f"0-{CPUS[-1] - 1}\n")


def test_the_largest_number_that_is_counted_is_loaded():
    assert max(CPUS) == MOST_CPUS
    assert counting_constants(0x1000, MOST_CPUS)["UM_CPUS"] == MOST_CPUS
    assert counting_lines(MOST_CPUS, long_loops=True) == []


def test_short_lists_are_in_the_plan():
    (line,) = counting_lines(1, long_loops=False)
    assert (line.meaning, line.state) == (LISTS, "lost")


def test_more_cpus_are_not_counted_and_the_plan_says_so():
    assert counting_constants(0x1000, BEYOND) == {}
    (line,) = counting_lines(BEYOND, long_loops=True)
    assert (line.meaning, line.state) == (REFERENCES, "lost")
    assert "4096 possible CPUs" in line.text
