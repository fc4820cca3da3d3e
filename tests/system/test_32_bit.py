"""System calls of 32-bit programs: tracepoints do not show them, and the plan says so."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys

import pytest

from tests.system.umtrace_command import start_recording, umtrace

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="int $0x80 is of x86"),
]

#: umount2(directory, 0) by the 32-bit gate, in a namespace of its own; prints what it returned
UMOUNT = """
import ctypes, mmap, subprocess, sys
place = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "um32", place], check=True)
low = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40,  # MAP_32BIT
                prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
# push rbx; mov ebx, edi; mov ecx, esi; mov eax, 52; int 0x80; pop rbx; ret
code = bytes.fromhex("53 89fb 89f1 b834000000 cd80 5b c3")
path = place.encode() + b"\\0"
low[:len(code)], low[256:256 + len(path)] = code, path
begin = ctypes.addressof(ctypes.c_char.from_buffer(low))
umount2 = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(begin)
print(umount2(begin + 256, 0))
"""


@pytest.mark.parametrize("tier", ["tracepoint", "ftrace-static"])
def test_what_a_32_bit_program_unmounts_is_seen_or_said_to_be_lost(tmp_path, tier):
    recording, place = tmp_path / "r.umt", tmp_path / "mnt"
    place.mkdir()
    process = start_recording(recording, "--tier", tier)
    command = ["unshare", "-m", sys.executable, "-c", UMOUNT, place]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said, _ = child.communicate(timeout=60)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    if child.returncode == -signal.SIGSEGV:
        pytest.skip("this kernel takes no 32-bit system calls (IA32_EMULATION)")
    assert said == "0\n"
    lines = map(json.loads, umtrace("export", recording, "--to", "jsonl").stdout.splitlines())
    seen = [row for row in lines if row["tid"] == child.pid and row["origin"] == "umount"]
    plan = json.loads((recording / "meta.json").read_text())["plan"]
    lost = [x for x in plan if "32-bit" in x["meaning"] and x["state"] == "lost"]
    assert (len(seen), len(lost)) in {(1, 0), (0, 1)}
