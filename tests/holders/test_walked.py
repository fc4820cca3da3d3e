"""A scan that begins with the processes that the kernel named."""

from __future__ import annotations

import pytest

from tests.holders.test_scan import in_private_namespace, root_only


@root_only
@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
def test_who_the_kernel_names_is_read_even_if_there_is_no_time_for_others(tmp_path, named):
    out = in_private_namespace(
        tmp_path,
        f"""
        from umtrace.holders import mounts, quick
        import umtrace.holders.scan as module
        from umtrace.holders.scan import Scan
        wait = "import sys, time; print(flush=True); time.sleep(100)"
        idle = [subprocess.Popen([sys.executable, "-c", wait], stdout=subprocess.PIPE, cwd="/",
                                 start_new_session=True) for _ in range(2)]
        held = subprocess.Popen([sys.executable, "-c", wait], stdout=subprocess.PIPE, cwd=mnt,
                                start_new_session=True)
        held.stdout.readline()
        # A task that waits for a CPU may look the same in each sample, and is then no holder.
        while open(f"/proc/{{held.pid}}/stat").read().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.01)
        ids = set()
        def walk(wanted):
            ids.update(wanted)
            return [held.pid] if {named} else []
        class First(quick.QuickSweep):
            def opened(self):
                return iter(())  # the time is over
        module.QuickSweep = First
        once = Scan([ScanRequest(umount_id=1, path=str(mnt))], walk=walk, budget_s=2)
        once.look()
        (found,) = once.finish(hurry=lambda: True)
        own = next(m.mnt_id for m in mounts.MountTable.of().mounts.values() if m.point == str(mnt))
        print(ids == {{own}})
        print([(h.kind, h.pid == held.pid, h.stays, h.ref is not None) for h in found.holders])
        print(len(found.sampled_ns))
        for each in (*idle, held):
            each.kill(); each.wait()
        """,
    )
    holders = [("cwd", True, True, True)] if named else []
    assert out == ["True", str(holders), str(2 if named else 0)]
