"""Who called ``umount_tree`` where the kernel's stack cannot be read: nobody knows, so it is null.

The real program runs in the kernel, without a probe.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.sources.by_hand import run
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import Kind, Unseen
from umtrace.model.kinds import Loss
from umtrace.sources.bpf import compiler, text
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import ProgramType
from umtrace.sources.bpf.kernel_tables import CAST
from umtrace.sources.bpf.program_cache import ProgramCache
from umtrace.sources.bpf.source import EVENT_RING_BYTES, NAME_RING_BYTES, BpfSource

pytestmark = pytest.mark.kernel

PROGRAM = "um_entry_umount_tree"
READ = "UM_FRAMES * sizeof(u64), 0)"
#: a flag that no kernel knows: the helper says -EINVAL
REFUSED = READ.replace(", 0)", ", 1ULL << 63)")


def loadable(monkeypatch, *, readable):
    source = BpfSource("fentry")
    whole = text.program_text()
    assert whole.count(READ) == 1
    changed = whole if readable else whole.replace(READ, REFUSED)
    monkeypatch.setattr(compiler, "program_text", lambda: changed)
    with closing(compiler.Compiler(ProgramCache(None))) as bcc:
        source._learn_kernel(bcc.tables())
        constants = {name: w for name, w in source._constants.items() if "FENTRY" not in name}
        compiled = bcc.compile({**constants, "UM_FENTRY": 1})
    return BpfObject(compiled, source._btf_ids.get(CAST, 0))


@pytest.mark.parametrize(("readable", "origin", "lost"), [(True, "other", 0), (False, None, 1)])
def test_a_stack_that_is_not_read_names_nobody(monkeypatch, readable, origin, lost):
    from umtrace.sources.bpf.rings import Rings

    with closing(loadable(monkeypatch, readable=readable)) as loaded:
        loaded.set_word("all_there", 1)
        program = loaded._load(PROGRAM, ProgramType.RAW_TRACEPOINT)
        with closing(Rings(loaded.map_fd, EVENT_RING_BYTES, NAME_RING_BYTES)) as rings:
            run(program, 0x1000, 0)  # of a mount that cannot be read either
            batch = rings.read(0, lambda events: events)
        assert sum(loaded.per_cpu("losses", Loss.STACK)) == lost
    said = batch.events[batch.events["kind"] == Kind.UNSEEN]
    assert said["a"].tolist() == [Unseen.CALLER] * lost
    correlator = UmountCorrelator(clock_offset_ns=0, tier="fentry")
    correlator.feed(batch)
    assert correlator.finish().column("origin").to_pylist() == [origin]
