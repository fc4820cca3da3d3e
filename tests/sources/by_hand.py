"""Runs the handlers of the fentry tier by hand: BPF_PROG_TEST_RUN gives them their arguments.

Nothing is probed, so this needs no kernel with trampolines. The handlers are loaded as programs of
a raw tracepoint, which have the same arguments, as plain numbers.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from contextlib import closing

from umtrace.kernel.syscalls import BPF_SYSCALL, syscall
from umtrace.sources.bpf import compiler, text
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import ProgramType, lookup, map_info, update
from umtrace.sources.bpf.kernel_tables import CAST
from umtrace.sources.bpf.program_cache import ProgramCache
from umtrace.sources.bpf.rings import Rings
from umtrace.sources.bpf.source import EVENT_RING_BYTES, NAME_RING_BYTES, BpfSource

TEST_RUN = 10  # BPF_PROG_TEST_RUN
FLAGS_AT = 44  # in struct um_task
#: an argument of a raw tracepoint is a number, which cannot be loaded from
TYPED = "#ifdef UM_FENTRY\n\tu64 loaded;"
#: this process has no mounts to clean up, so the flags of the call say how many it has
COUNTS = "\tum_count_cleanups(task, um_word((u64)bpf_get_current_task() + UM_OFF_TASK_WORKS));\n"
COUNTED = "\ttask->cleanups = task->phase == UM_LEAVING ? 0 : task->flags;\n"


def run(program_fd, *arguments):
    """Run a raw tracepoint's program once with these arguments."""
    words = ctypes.create_string_buffer(
        struct.pack(f"={len(arguments)}Q", *(word & (1 << 64) - 1 for word in arguments))
    )
    head = struct.pack("=IIIIQQ", program_fd, 0, 0, 0, 0, 0)
    tail = struct.pack(
        "=IIIIQQIII", 0, 0, 8 * len(arguments), 0, ctypes.addressof(words), 0, 0, 0, 0
    )
    attr = ctypes.create_string_buffer(head + tail)
    number = BPF_SYSCALL[platform.machine()]
    syscall(number, TEST_RUN, ctypes.cast(attr, ctypes.c_void_p), len(attr) - 1)


class Handlers:
    """The handlers, loaded; ``without`` names constants of bpf/config.h to leave out."""

    def __init__(self, monkeypatch, *, without=()):
        source = BpfSource("fentry")
        whole = text.program_text()
        for old, new in ((TYPED, TYPED.replace("UM_FENTRY", "UM_NEVER")), (COUNTS, COUNTED)):
            assert whole.count(old) == 1
            whole = whole.replace(old, new)
        monkeypatch.setattr(compiler, "program_text", lambda: whole)
        with closing(compiler.Compiler(ProgramCache(None))) as bcc:
            source._learn_kernel(bcc.tables())
            constants = {
                name: word
                for name, word in source._constants.items()
                if "FENTRY" not in name and name not in without
            }
            compiled = bcc.compile({**constants, "UM_FENTRY": 1})
        self.constants = source._constants
        self.loaded = BpfObject(compiled, source._btf_ids.get(CAST, 0))
        self.loaded.set_word("all_there", 1)
        self._rings = Rings(self.loaded.map_fd, EVENT_RING_BYTES, NAME_RING_BYTES)

    def __call__(self, name, *arguments):
        run(self.loaded._load(f"um_{name}", ProgramType.RAW_TRACEPOINT), *arguments)

    def set_flags(self, flags):
        """Set the flags of the umount that this process is in."""
        fd, slot = self.loaded.map_fd("tasks"), os.getpid() & 16383
        entry = bytearray(lookup(fd, slot, map_info(fd).value_bytes))
        struct.pack_into("=I", entry, FLAGS_AT, flags)
        update(fd, slot, bytes(entry))

    def events(self):
        """Return what was sent since the last call."""
        return self._rings.read(0, lambda events: events).events

    def close(self):
        self._rings.close()
        self.loaded.close()
