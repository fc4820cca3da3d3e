"""Finds the BPF sources: beside the installed package, or in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INCLUDE = '#include "emit.h"'


def bpf_directory() -> Path:
    """Return the directory that holds event.h and the programs."""
    installed = _PACKAGE / "_bpf"
    return installed if installed.is_dir() else _PACKAGE.parent / "bpf"


def program_text(name: str) -> str:
    """Return the text of a program with emit.h put in.

    bcc rewrites map accesses in the main text only, so that what uses maps cannot
    come by #include; #line keeps compiler messages pointing at the real files.
    """
    directory = bpf_directory()
    emit = (directory / "emit.h").read_text()
    before, after = (directory / name).read_text().split(_INCLUDE, 1)
    line = before.count("\n") + 2
    return f'{before}#line 1 "emit.h"\n{emit}\n#line {line} "{name}"{after}'


def headers_directory() -> Path:
    """Return the stand-in headers that spare the host a kernel-headers package."""
    return bpf_directory() / "headers"
