"""Runs `holders.nsreader` with a time limit, and reads its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from umtrace.holders import nsreader
from umtrace.holders.mounts import MountTable, parse

_LEAST_S = 0.5


@dataclass(frozen=True, slots=True)
class Entered:
    """A namespace that the child entered, and the user namespace that owns it."""

    inode: int
    owner: int | None
    table: MountTable


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, in words."""

    what: str


def read_by_child(asked: Mapping[str, object], deadline: float) -> Iterator[Entered | Unread]:
    """Yield what the child read; at ``deadline`` (monotonic, seconds) it is killed."""
    wrote, end = _run(json.dumps(asked).encode(), max(deadline - time.monotonic(), _LEAST_S))
    at = 0
    while (line_end := wrote.find(b"\n", at)) >= 0:
        about = json.loads(wrote[at:line_end])
        text = wrote[line_end + 1 : line_end + 1 + about["size"]]
        at = line_end + 1 + about["size"]
        if len(text) < about["size"]:
            break  # it was killed in the middle
        if "errno" in about:
            why = os.strerror(about["errno"])
            yield Unread(f"mounts of mount namespace {about['inode']} ({why})")
        else:
            table = MountTable(parse(os.fsdecode(text)))
            yield Entered(about["inode"], about["owner"], table)
    if end:
        yield Unread(f"more mount namespaces without a process ({end})")


def _run(asked: bytes, patience_s: float) -> tuple[bytes, str]:
    """Return the output of the child, and why it may be incomplete (empty: it is complete)."""
    command = [sys.executable, "-I", "-S", nsreader.__file__]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/")
    try:
        wrote, said = child.communicate(asked, timeout=patience_s)
    except subprocess.TimeoutExpired as late:
        child.kill()
        with suppress(subprocess.TimeoutExpired):  # it may wait for a dead server
            child.wait(0.2)
        return late.output or b"", f"no answer in {patience_s:.0f} s"
    last = said.decode(errors="replace").strip().rpartition("\n")[2]
    return wrote, last if child.returncode else ""
