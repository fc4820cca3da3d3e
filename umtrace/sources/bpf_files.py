"""Finds the BPF sources: beside the installed package, or in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent

#: by tier, in the order in which they build on each other
_TRACEPOINT = ("emit.h", "tasks.h", "frames.h", "leaving.h", "syscalls.c", "switch.c")
_FUNCTIONS = (
    "placement.h",
    "look.h",
    "mount.h",
    "caller.h",
    "armed.h",
    "umount.c",
    "tree.c",
    "unlock.c",
    "cleanup.c",
    "ebusy.c",
)


def bpf_directory() -> Path:
    """Return the directory that holds event.h and the programs."""
    installed = _PACKAGE / "_bpf"
    return installed if installed.is_dir() else _PACKAGE.parent / "bpf"


def program_text(*, functions: bool) -> str:
    """Return the programs as one text, with the function probes or without.

    bcc rewrites map accesses in the main text only, so that what uses maps cannot
    come by #include; #line keeps compiler messages pointing at the real files.
    """
    names = _TRACEPOINT + (_FUNCTIONS if functions else ())
    return "\n".join(_part(name) for name in names)


def _part(name: str) -> str:
    return f'#line 1 "{name}"\n' + (bpf_directory() / name).read_text()


def headers_directory() -> Path:
    """Return the stand-in headers that spare the host a kernel-headers package."""
    return bpf_directory() / "headers"
