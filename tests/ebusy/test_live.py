"""Ground truth: real mounts, held in known ways, and what a recording says of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.scripts import load_script
from umtrace.model.windows import windows_to_arrow
from umtrace.pipeline.offline import ebusy_windows
from umtrace.recording import Recording


@pytest.fixture(scope="module")
def script():
    return load_script("ebusy-matrix")


@pytest.fixture(scope="module")
def recorded(script, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("matrix")
    (scratch / "mnt").mkdir()
    return script.record(str(scratch), scratch / "rec.umt"), scratch / "rec.umt"


@pytest.mark.kernel
@pytest.mark.slow
def test_the_matrix(script, recorded):
    truths, path = recorded
    done = subprocess.run(
        [sys.executable, "-m", "umtrace", "ebusy", str(path), "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    windows = json.loads(done.stdout)["windows"]
    assert script.wrongly_spurious(truths, windows) == []
    by_name = {Path(window["path"]).name: window for window in windows}
    for truth in truths:
        window = by_name.get(truth["name"])
        if truth["truth"] == "none":
            assert window is None, truth
        else:
            right = {truth["truth"], "unknown", *truth["also"]}
            assert window["class"] in right, (truth, window["evidence"])
            assert window["spurious"] in {not truth["held"], None}
    surely = {"open-fd.0", "cwd.0", "chroot.0", "exe.0", "maps.0", "loop-backing.0", "submount.0"}
    named = [name for name in surely if by_name[name]["spurious"] is False]
    assert len(named) >= len(surely) - 2, "a loaded host looks late: two may be unknown"
    transient = [t for t in truths if t["truth"] == "transient-ref" and "loop" in t["name"]]
    right = [t for t in transient if by_name[t["name"]]["spurious"]]
    assert right or not transient, "how many depends on the load"


@pytest.mark.kernel
@pytest.mark.slow
def test_windows_of_the_recording_are_the_live_ones(recorded):
    _truths, path = recorded
    (live,) = list(Recording.open(path).batches("ebusy"))
    again = windows_to_arrow(list(ebusy_windows(path)))
    # Umounts of others on this host end in between: not always in the same order.
    order = [("umount_id", "ascending"), ("class", "ascending")]
    live, again = (pa.table(each.to_pydict()).sort_by(order) for each in (live, again))
    assert again.num_rows == live.num_rows
    for name in live.column_names:
        assert again.column(name).to_pylist() == live.column(name).to_pylist(), name
