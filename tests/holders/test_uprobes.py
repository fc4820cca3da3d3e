"""Uprobes that are in no list of tracefs: each keeps a file of a real mount until it is ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.holders.test_unshown import asked, found

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

UPROBE = """
def probe(keep):
    "Have a uprobe on a program of the mount, kept by what `keep` does with event and program."
    return begin(f'''if 1:
    import ctypes, fcntl, os, struct, sys
    from umtrace.sources.bpf import bpf_syscall as bpf
    from umtrace.kernel.syscalls import perf_event_open_nr, syscall
    kind = int(open("/sys/bus/event_source/devices/uprobe/type").read())
    path = ctypes.create_string_buffer(os.fsencode(sys.argv[1] + "/program"))
    code = struct.pack("=BBhi", 0xb7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    def event():
        attr = ctypes.create_string_buffer(128)
        struct.pack_into("=II", attr, 0, kind, 128)
        struct.pack_into("=QQ", attr, 56, ctypes.addressof(path), 0x1000)
        attr = ctypes.cast(attr, ctypes.c_void_p)
        return syscall(perf_event_open_nr(), attr, -1, 0, -1, 8)
    def program(attach_type=0):
        kind = bpf.ProgramType.KPROBE
        return bpf.load_program("x", code, kind, attach_type=attach_type)
    def link(event):
        return bpf.bpf(28, struct.pack("=IIIIQ", program(), event, 41, 0, 0))
    {keep}''')
import shutil
shutil.copy("/bin/true", mnt / "program")
"""
PERF = "held = probe('e = event(); fcntl.ioctl(e, 0x40042408, program())')\n"
ALONE = "held = probe('e = event()')\n"
LINK = "held = probe('e = event(); l = link(e); os.close(e)')\n"
MULTI = """
held = probe('''p = program(48); o = ctypes.c_uint64(0x1000)
    l = bpf.bpf(28, struct.pack("=IIIIQQQQIIII", p, 0, 48, 0, ctypes.addressof(path),
                ctypes.addressof(o), 0, 0, 1, 0, 0, 0))''')
"""
PINNED = """
import uuid
pins = mnt.parent / "pins"; pins.mkdir(); syscalls.mount("none", str(pins), "bpf")
held = probe(f'''e = event(); l = link(e)
    at = ctypes.create_string_buffer(b"{pins}/link")
    bpf.bpf(6, struct.pack("=QII", ctypes.addressof(at), l, 0))''')
held.stdin.close(); held.wait()
"""
needs_uprobes = pytest.mark.skipif(
    not Path("/sys/bus/event_source/devices/uprobe").exists(),
    reason="no uprobes of perf events here",
)


@needs_uprobes
@pytest.mark.parametrize(
    ("script", "kind", "since"),
    [
        (PERF, "perf-uprobe", (4, 18)),
        (LINK, "link-uprobe", (6, 6)),
        (MULTI, "link-uprobe", (6, 8)),
        (PINNED, "link-uprobe", (6, 6)),
    ],
    ids=["perf event", "link", "uprobe_multi", "pinned link"],
)
def test_a_uprobe_that_is_in_no_list_of_tracefs(tmp_path, script, kind, since):
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < since:
        pytest.skip(f"the kernel does not name the file before {since}")
    answer = asked(tmp_path, UPROBE + script)
    holder = found(answer, kind)
    assert answer["state"] == "held"
    assert holder["detail"].endswith("/mnt/program")
    assert (script is PINNED) == holder["comm"].endswith("/pins/link")


@needs_uprobes
@pytest.mark.usefixtures("alone")
def test_a_perf_event_of_which_nothing_is_said_is_a_suspect(tmp_path):
    answer = asked(tmp_path, UPROBE + ALONE)
    assert (answer["state"], found(answer, "perf-uprobe")["of"]) == ("unknown", "suspect")
