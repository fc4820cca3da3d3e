"""The text of the probe programs: beside the installed package, or in the checkout."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]
_MAIN = "umtrace.c"
#: the declarations that replace bcc in an editor
_EDITOR = "editor.h"
_INCLUDE = re.compile(r'#include "([\w.]+)"\n')


def bpf_directory() -> Path:
    """Return the directory that holds event.h and the programs."""
    installed = _PACKAGE / "_bpf"
    return installed if installed.is_dir() else _PACKAGE.parent / "bpf"


def program_text() -> str:
    """Return ``umtrace.c`` with what it includes in place, each file once.

    bcc rewrites map accesses in the main text only, so a file that uses maps cannot be included by
    the preprocessor. With #line, messages of the compiler name the real files.
    """
    return _expanded(_MAIN, set())


def _expanded(name: str, seen: set[str]) -> str:
    seen.add(name)
    parts = [f'#line 1 "{name}"\n']
    for number, line in enumerate((bpf_directory() / name).read_text().splitlines(True), 1):
        include = _INCLUDE.fullmatch(line)
        if include is None or include[1] == _EDITOR:
            parts.append(line)
        elif include[1] not in seen:
            parts += [_expanded(include[1], seen), f'#line {number + 1} "{name}"\n']
        else:
            parts.append("\n")
    return "".join(parts)


def headers_directory() -> Path:
    """Return the folder of headers, with which the host needs no package of kernel headers."""
    return bpf_directory() / "headers"
