"""Who keeps superblocks alive when a recording ends, seen on real mounts."""

from __future__ import annotations

import os

import pytest

from tests.holders.spaces import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_a_superblock_that_lives_on_in_another_namespace(tmp_path):
    (mntns, pid, holders, evidence, stored, ids) = run(
        tmp_path,
        """
from umtrace.ebusy.shared import with_survivors
from umtrace.holders.survivors import survivors
from umtrace.model.holders import scans_from_arrow, scans_to_arrow
from umtrace.model.windows import EbusyWindow
m = mount(room / "m", "m"); dev = ask(m).dev
child = elsewhere("s.make_private()"); assert umount(m) == 0
window = EbusyWindow(klass="shared-sb", spurious=False, begin_ns=1, end_ns=None, path=str(m),
                     dev=dev, umount_id=5)
other = EbusyWindow(klass="shared-sb", spurious=False, begin_ns=1, end_ns=None)
scans = survivors([window, other])
(stored,) = scans_from_arrow(scans_to_arrow(scans))
known = with_survivors(window, scans[0])
out += [os.stat(f"/proc/{child.pid}/ns/mnt").st_ino, child.pid,
        [h.to_dict() for h in known.holders], list(known.evidence), stored == scans[0],
        [scan.umount_id for scan in scans]]
ended(child)
""",
    )
    (holder,) = holders
    assert (holder["mntns"], holder["pid"], holder["detail"]) == (mntns, pid, f"{tmp_path}/m")
    assert holder["enter"] == ["-t", str(pid), "-m"]
    assert f"mount {tmp_path}/m was in mount namespace {mntns}" in evidence[-1]
    assert (stored, ids) == (True, [5])
