"""Nothing that others do fails because umtrace runs beside it, in the function tiers as well.

tests/system/test_innocence.py on kernels where functions can be probed. `make test` does `record`
on the newest one (test_real_kernels). UMTRACE_LAB_KERNELS=5.10,6.12,... chooses others.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.lab.guest import end_of, in_guest

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNELS = os.environ.get("UMTRACE_LAB_KERNELS", "5.10,6.1-rt,6.12,7").split(",")
SURFACES = ("record", "trace", "why")
#: fentry, kprobe, tracepoint, ftrace and ftrace-static
TIERS = 5


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("surface", SURFACES)
def test_nobody_is_disturbed(kernel, surface):
    done = in_guest(kernel, f"INNOCENCE='{surface}' scripts/kernel-check innocence", timeout_s=1500)
    assert done.returncode == 0, end_of(done)
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= (2 if surface == "why" else TIERS)
    assert " skipped" not in done.stdout
