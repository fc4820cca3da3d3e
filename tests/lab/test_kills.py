"""Kills while umounts hang: what was begun is in the recording, and nothing stays.

kill -9 of those that unmount, kill -9 of the recorder, and a crash of the guest. At that moment an
umount is in its path lookup, and one in the shutdown of its file system.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.lab.guest import end_of, in_guest
from tests.lab.kill_checks import (
    crash_left_what_was_begun,
    recorder_left_nothing,
    spinners_are_after_a_crash,
    spinners_are_left,
    spinners_have_rows,
    umounters_have_rows,
)
from tests.lab.spinning import PHASES

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNEL = "6.12"
TIERS = ("fentry", "kprobe", "ftrace", "tracepoint")
SPUN = ("fentry", "kprobe")
CRASHES = (("5.10", "kprobe"), ("6.12", "fentry"), ("6.12", "ftrace"), ("7", "fentry"))
CRASHED = 200  # the status of a guest that gave none
DISK_BYTES = 64 << 20
INSIDE = f"""
modprobe -a fuse loop
for tier in {" ".join(TIERS)}; do
	for killed in umounters recorder; do
		python -m tests.lab.kill_workload $LAB_OUT $tier $killed || exit
	done
done
"""
SPIN = f"""
for tier in {" ".join(SPUN)}; do
	for killed in umounters recorder; do
		python -m tests.lab.kill_spinning $LAB_OUT $tier $killed || exit
	done
done
"""
CRASH = """
modprobe -a fuse loop && mkdir /tmp/disk && mount $LAB_DISK /tmp/disk &&
	python -m {workload} /tmp/disk {tier} crash {phase}
"""


def left_by(script, out):
    """Run a script in a guest and return the folder with what it left."""
    done = in_guest(KERNEL, script, out=out, timeout_s=1500)
    assert done.returncode == 0, end_of(done)
    return out


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return left_by(INSIDE, tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("tier", TIERS)
def test_umounters_that_are_killed_have_rows(results, tier):
    umounters_have_rows(results / f"{tier}-umounters")


@pytest.mark.parametrize("tier", TIERS)
def test_a_recorder_that_is_killed_leaves_a_recording_and_nothing_else(results, tier):
    recorder_left_nothing(results / f"{tier}-recorder")


@pytest.fixture(scope="module")
def spun(tmp_path_factory):
    return left_by(SPIN, tmp_path_factory.mktemp("spun"))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("tier", SPUN)
def test_umounters_in_each_place_have_rows(spun, tier, phase):
    spinners_have_rows(spun / f"{tier}-umounters-{phase}")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("tier", SPUN)
def test_a_recorder_that_is_killed_has_umounts_in_each_place(spun, tier, phase):
    spinners_are_left(spun / f"{tier}-recorder-{phase}")


@pytest.mark.parametrize(("kernel", "tier"), CRASHES)
def test_a_crash_leaves_what_was_begun(tmp_path, kernel, tier):
    found = crashed(
        tmp_path, kernel, CRASH.format(workload="tests.lab.kill_workload", tier=tier, phase="")
    )
    crash_left_what_was_begun(found / f"{tier}-crash")


@pytest.mark.parametrize("phase", PHASES)
def test_a_crash_leaves_what_was_begun_in_each_place(tmp_path, phase):
    spin = CRASH.format(workload="tests.lab.kill_spinning", tier="fentry", phase=phase)
    spinners_are_after_a_crash(crashed(tmp_path, KERNEL, spin) / f"fentry-crash-{phase}")


def crashed(tmp_path, kernel, command):
    """Crash a guest; return what it left on a disk."""
    for program in ("mke2fs", "e2fsck", "debugfs"):
        if not shutil.which(program):
            pytest.skip("e2fsprogs is needed: apt-get install e2fsprogs")
    disk, found = tmp_path / "disk", tmp_path / "found"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", disk], check=True)
    done = in_guest(kernel, command, options=("--disk", disk))
    assert done.returncode == CRASHED, end_of(done)
    assert "sysrq" in done.stderr.lower(), end_of(done)
    subprocess.run(["e2fsck", "-fy", disk], check=False, stdout=subprocess.DEVNULL)
    found.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump / {found}", disk], check=True)
    return found
