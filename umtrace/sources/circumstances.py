"""What the compiler's answer depends on besides the request: the key under which it is kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from umtrace.kernel.constants import possible_cpus
from umtrace.sources.bpf_files import bpf_directory
from umtrace.version import __version__

#: What else decides the answer. 0.1.0 took headers from the working directory as well: what it
#: kept is never asked for.
_INCLUDED = "own headers only"
_NOTES = Path("/sys/kernel/notes")  # with the build id


def circumstances() -> str:
    """Return a hash of this kernel, this umtrace and its headers.

    The compiler itself is looked at when an answer is used: umtrace/sources/kept.py. It sees
    no variable and no folder but these: umtrace/sources/compiler.py.
    """
    host = os.uname()
    seen = hashlib.sha256()
    for word in (
        _INCLUDED,
        __version__,
        host.release,
        host.version,
        host.machine,
        str(possible_cpus()),
    ):
        seen.update(word.encode() + b"\0")
    seen.update(_NOTES.read_bytes() if _NOTES.exists() else b"")
    for path in sorted(bpf_directory().rglob("*.h")):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:32]


def key_of(around: str, request: str) -> str:
    """Return the name of an answer; it begins with its circumstances."""
    return f"{around}-{hashlib.sha256(request.encode()).hexdigest()[:32]}"
