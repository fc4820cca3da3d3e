"""Holders of every kind, made for real: what `why` says, what umount says, and the remedy."""

from __future__ import annotations

import os
import sys

import pytest

from tests.scripts import SCRIPTS, load_script

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

sys.path.insert(0, str(SCRIPTS))
MATRIX = load_script("why-matrix")
KINDS = {kind.name: kind for kind in MATRIX.KINDS}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if kind.tried_elsewhere else ())
        for name, kind in KINDS.items()
    ],
)
def test_each_kind_is_named_never_free_and_ended_by_its_remedy(tmp_path, name):
    kind = KINDS[name]
    if need := MATRIX.missing(kind):
        pytest.skip(f"no {need} on this host")
    row = MATRIX.run(kind, tmp_path)
    assert not row.error
    plain, asked = row.answers
    assert plain["state"] != "free", "free without the kernel's word"
    assert not row.held_called_free
    assert row.named, row.answers
    assert plain["state"] in {*kind.states, "unknown"}
    assert row.after == 0, row.tried
    if asked["subject"] == "mount" and asked["kernel"]["said"] != "refused":
        assert (asked["kernel"]["said"] == "busy") == (row.before != 0) or "copy" in name
