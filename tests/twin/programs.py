"""The programs of bpf/, compiled for this machine."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from umtrace.model.events import EVENT_DTYPE, NAME_DTYPE, EventBatch
from umtrace.probes.stacks import FUNCTIONS
from umtrace.sources.bpf.text import headers_directory, program_text

HOST, FOOTER = (Path(__file__).with_name(name) for name in ("host.h", "footer.c"))
#: in the assembly of BPF: a number is combined with another one twice, which leaves it as it was
_HIDDEN = re.compile(r'asm volatile\("%0 \^= %1".*?;')
RING_BYTES = 1 << 20
WORDS = 32


class Host(ctypes.Structure):
    """The current task, and what time it is."""

    _fields_ = (
        ("now_ns", ctypes.c_uint64),
        ("pid_tgid", ctypes.c_uint64),
        ("task", ctypes.c_uint64),
        ("cpu", ctypes.c_uint32),
        ("comm", ctypes.c_char * 16),
        ("stack", ctypes.c_uint64 * 8),
    )


class Ring(ctypes.Structure):
    """The records that were sent, each behind a header of 8 bytes."""

    _fields_ = (("used", ctypes.c_uint64), ("data", ctypes.c_uint8 * RING_BYTES))

    def take(self, dtype):
        """Return the records and forget them."""
        record = np.dtype([("header", "<u8"), ("data", dtype)])
        found = np.frombuffer(bytes(self.data[: self.used]), record)["data"].copy()
        self.used = 0
        return found


class Programs:
    """The programs with some constants; `call` runs one in the current task."""

    def __init__(self, folder, constants):
        library = folder / "programs.so"
        flags = [f"-D{name}={value}" for name, value in constants.items()]
        flags += [f"-D{name}=0,0" for name in FUNCTIONS if name not in constants]
        compiler = shutil.which("cc") or shutil.which("clang")
        assert compiler, "a C compiler is needed: apt-get install gcc"
        text = _HIDDEN.sub("", program_text()) + FOOTER.read_text()
        (folder / "programs.c").write_text(text)
        headers = (f"-I{headers_directory()}/include", f"-include{HOST}")
        command = [compiler, "-shared", "-fPIC", "-O1", "-w", "-std=gnu11", *flags, *headers]
        subprocess.run([*command, folder / "programs.c", "-o", library], check=True)
        self._library = ctypes.CDLL(str(library))
        self.host = Host.in_dll(self._library, "host")
        self._rings = [Ring.in_dll(self._library, f"{name}_data") for name in ("events", "names")]

    def reset(self):
        """Forget everything; all programs are attached."""
        self._library.host_reset()

    def enter(self, function, first=0, second=0):
        """Run the probe at the entry of a function."""
        self._run(self._library.host_enter, f"um_entry_{function}", first, second)

    def leave(self, function, result=0):
        """Run the probe at its return."""
        self._run(self._library.host_leave, f"um_return_{function}", result)

    def _run(self, how, program, *words):
        how(getattr(self._library, program), *(ctypes.c_uint64(word) for word in words))

    def trace(self, program, *words):
        """Run the program of a tracepoint; these are its fields, 8 bytes each."""
        context = (ctypes.c_uint64 * WORDS)(*words)
        getattr(self._library, program)(context)

    def take(self):
        """Return what the programs have sent."""
        events, names = self._rings
        return EventBatch(events.take(EVENT_DTYPE), names.take(NAME_DTYPE))
