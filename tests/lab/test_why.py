"""`umtrace why` in a guest of the lab: holders of kinds that few hosts can make."""

from __future__ import annotations

import pytest

from tests.lab.guest import end_of, in_guest
from tests.scripts import load_script

pytestmark = [pytest.mark.lab, pytest.mark.long]

MATRIX = load_script("why-matrix")
KERNEL = "6.12"
#: kinds of the matrix that need a module or a program which the hosts of the other tests lack
SELDOM = (
    "uprobe event",
    "uprobe of bpftrace",
    "device: device mapper",
    "device: device mapper, mounted",
    "device: md",
    "device: zram writes back to it",
    "device: iSCSI target (LIO iblock)",
)
PYTEST = "python -m pytest -q -rs -p no:cacheprovider"


def ran(what):
    done = in_guest(KERNEL, f"{MATRIX.INSIDE}; {PYTEST} {what}")
    assert done.returncode == 0, end_of(done)
    assert " passed" in done.stdout
    return done.stdout


@pytest.mark.parametrize("file", ["test_unshown", "test_asker"])
def test_holders_that_no_descriptor_shows(file):
    assert " skipped" not in ran(f"tests/holders/{file}.py")


def test_kinds_of_the_matrix_that_few_hosts_have():
    assert set(SELDOM) <= {kind.name for kind in MATRIX.KINDS}
    case = "test_each_kind_is_named_never_free_and_ended_by_its_remedy"
    names = " ".join(f"'tests/holders/test_why_matrix.py::{case}[{name}]'" for name in SELDOM)
    assert f"{len(SELDOM)} passed" in ran(names)
