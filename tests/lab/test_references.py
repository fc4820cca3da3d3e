"""Mounts that are held by known numbers of references, on a real kernel: no number is wrong."""

from __future__ import annotations

import os
import re

import pytest

from tests.lab.guest import end_of, in_guest

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNEL = os.environ.get("UMTRACE_LAB_KERNELS", "6.12").split(",")[0]
_ROW = re.compile(r"^([\w-]+) +(\w+) +(\w+) +(\w+) +(\w+)  (all|less|WRONG)  ", re.MULTILINE)


def test_references_are_counted_and_named_as_they_were_taken():
    done = in_guest(KERNEL, "modprobe -a loop; .venv/bin/python scripts/held-references")
    rows = _ROW.findall(done.stdout)
    assert done.returncode == 0, end_of(done)
    assert not [row for row in rows if row[5] == "WRONG"]
    counted = {kind for kind, held, refs, *_ in rows if held == refs}
    named = {kind for kind, *_, how in rows if how == "all"}
    assert len(counted) >= 20, end_of(done)
    # How soon a scan comes depends on the load; what it names of one reference is the same.
    assert named, end_of(done)
