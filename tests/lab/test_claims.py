"""Claims of a device right after an umount are recorded, and whatif says which get EBUSY.

UMTRACE_LAB_KERNELS=5.10,6.12,6.1-rt,7 chooses the kernels. The kernel of lab/designs then gives its
own EBUSYs.
"""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest

import umtrace
from lab import built, cache
from lab.errors import LabError
from tests.lab.claiming import ROUNDS
from tests.lab.guest import end_of, in_guest, in_guests
from umtrace.query.claims import NO_PROBE
from umtrace.whatif.claims import NOT_ALL

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNELS = os.environ.get("UMTRACE_LAB_KERNELS", "6.12").split(",")
RUNS = ("fentry-full", "fentry-light", "kprobe-full", "kprobe-light", "ftrace-full")
EACH = [(kernel, run) for kernel in KERNELS for run in RUNS]
DESIGNS = ("A", "B", "C", "D")
RECORD = """
	umtrace record -q --tier ${run%-*} --probes ${run#*-} -o $LAB_OUT/$run.umt -- \\
		python tests/lab/claiming.py $LAB_OUT/$run.json || exit
"""
INSIDE = f"modprobe -q loop; for run in {' '.join(RUNS)}; do {RECORD} done"
UNDER = f"""
for design in {" ".join(DESIGNS)}; do
	echo $design > /proc/sys/fs/umount-design || exit
	umtrace record -q -o $LAB_OUT/$design.umt -- \\
		python tests/lab/claiming.py $LAB_OUT/$design.json || exit
done
"""
MOUNT, FSCONFIG, OPENAT = 165, 431, 257


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    out = tmp_path_factory.mktemp("claims")
    done = in_guests(KERNELS, INSIDE, out, timeout_s=1200)
    assert done.returncode == 0, end_of(done)
    return out


@pytest.fixture(params=EACH, ids="-".join)
def run(recorded, request):
    kernel, name = request.param
    folder = recorded / kernel
    ledger = json.loads((folder / f"{name}.json").read_text())
    return name, umtrace.load(folder / f"{name}.umt"), ledger


def claims_of(rec):
    events = rec.events
    return events[events["kind"] == "claimed"]


def test_each_claim_has_an_event(run):
    name, rec, ledger = run
    found = claims_of(rec)
    if name.startswith("ftrace"):
        assert not len(found)
        return
    assert set(found["b"]) == {kernel_number(ledger["device"])}, "of the other device there is none"
    by_scene = found[found["comm"] == "python"]
    opens = by_scene[by_scene["ret"] == OPENAT + 1]
    # In light, the device of a namespace that ends is not known; it was unmounted shortly before.
    assert len(opens) == 3 * ROUNDS
    assert len(found[found["comm"].str.startswith("mkfs") & (found["ret"] == OPENAT + 1)])
    rest = by_scene[by_scene["ret"] != OPENAT + 1]
    assert set(rest["ret"]) <= {MOUNT + 1, FSCONFIG + 1}


def kernel_number(device):
    return os.major(device) << 20 | os.minor(device)


def test_what_would_get_ebusy(run):
    name, rec, _ = run
    found = rec.whatif("B,C,D", normal_gp="15ms")
    claims = found.designs["claims"]
    assert claims["A"] == 0
    assert pd.isna(claims["D"]) or claims["D"] == 0  # without n_held D has no answer
    numbers = found.numbers.set_index(["design", "number"])["why"]
    if name.startswith("ftrace"):
        assert claims[["B", "C"]].isna().all()
        assert numbers["B", "claims"] == NO_PROBE
        return
    events = claims_of(rec)
    by_mkfs = int((events["comm"].str.startswith("mkfs") & (events["ret"] == OPENAT + 1)).sum())
    # Starting mkfs takes about as long as a normal grace period.
    assert ROUNDS <= claims["B"] <= ROUNDS + by_mkfs
    if name.endswith("light"):  # the ends of namespaces
        assert numbers["C", "claims"] == NOT_ALL
    else:
        assert 3 * ROUNDS <= claims["C"] <= 3 * ROUNDS + by_mkfs
    busy = found.times[(found.times["time"] == "device busy") & (found.times["design"] == "B")]
    assert (busy["value_ns"] > 0).all()
    assert (busy["n"] == claims["B"]).all()


@pytest.fixture(scope="module")
def under(tmp_path_factory):
    try:
        built.find(cache.folder(), "designs")
    except LabError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("designs")
    done = in_guest("designs", UNDER, timeout_s=1200, out=out)
    assert done.returncode == 0, end_of(done)
    return out


def test_the_prediction_is_what_a_kernel_with_the_design_does(under):
    rec = umtrace.load(under / "A.umt")
    predicted = rec.whatif("B,C,D", normal_gp="15ms").designs["claims"]
    by_mkfs = int(claims_of(rec)["comm"].str.startswith("mkfs").sum())
    for design in DESIGNS:
        ledger = json.loads((under / f"{design}.json").read_text())
        observed = sum(ledger[kind] for kind in ("sync", "lazy", "exit"))
        # Whether mkfs starts before the device is free depends on how fast the host is.
        most = observed + (by_mkfs if design in {"B", "C"} else 0)
        assert observed <= predicted[design] <= most, design
    assert [predicted[design] >= ROUNDS for design in DESIGNS] == [False, True, True, False]
