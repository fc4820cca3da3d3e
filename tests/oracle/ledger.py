"""The workload in C: built, run, and what its ledger says."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

SOURCE = Path(__file__).with_name("workload")
_DETACH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row that a recording must have; times are of CLOCK_MONOTONIC, ns.

    Attributes
    ----------
    next : int
        When the task's next system call was over: a tier without function probes takes its
        entry for the end.
    """

    kind: str
    origin: str
    tid: int
    begin: int
    end: int
    next: int
    pid: int | None = None
    comm: str | None = None
    path: str | None = None
    flags: int | None = None
    errno: int = 0
    fstype: str | None = None
    final_put: str | None = None
    n_mounts: int | None = None

    @property
    def key(self) -> str:
        """What the table of the unseen calls it."""
        return self.kind if self.origin == "umount" else f"{self.kind}/{self.origin}"

    @property
    def mode(self) -> str | None:
        """Lazy or sync; None of what is no umount(2)."""
        if self.flags is None:
            return None
        return "lazy" if self.flags & _DETACH else "sync"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was done, by which tasks, and which kinds could not be had."""

    entries: tuple[Entry, ...]
    tasks: frozenset[int]
    skipped: dict[str, str]

    def bounded_late(self) -> Ledger:
        """Return it for a recording in which the kernel skipped hits.

        The task's next system call may have been one of them: then a later one, or its death, is
        the upper bound of an umount.
        """
        last = max((entry.next for entry in self.entries), default=0)
        entries = tuple(
            replace(entry, next=last) if entry.origin == "umount" else entry
            for entry in self.entries
        )
        return replace(self, entries=entries)


def build(target: Path) -> Path:
    """Compile the workload so that it runs on any kernel's userland."""
    flags = ["-O1", "-static", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
    files = sorted(map(str, SOURCE.glob("*.c")))
    subprocess.run(["cc", *flags, "-o", target, *files, "-pthread"], check=True)
    return target


def make_image(path: Path) -> Path:
    """Make an ext4 file system; the kind ``dirty`` is left out where mkfs is missing."""
    with path.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", path], check=True)
    return path


def read(path: Path) -> Ledger:
    """Read what the workload wrote.

    Raises
    ------
    AssertionError
        A call did not do what the kind is about: the ledger is of no use.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    wrong = [line for line in lines if line.get("expected", 0) != line.get("errno", 0)]
    assert not wrong, f"calls that did something else: {wrong}"
    return Ledger(
        tuple(_entry(line) for line in lines if line["what"] in {"umount", "teardown"}),
        frozenset(line["tid"] for line in lines if line["what"] != "skip"),
        {line["kind"]: line["why"] for line in lines if line["what"] == "skip"},
    )


def _entry(line: dict) -> Entry:
    times = {name: line[name] for name in ("kind", "tid", "begin", "end", "next")}
    if line["what"] == "teardown":
        return Entry(origin=line["origin"], **times)
    return Entry(
        origin="umount",
        pid=line["pid"],
        comm=_text(line["comm"]),
        path=None if line["path"] is None else _text(line["path"]),
        flags=line["flags"],
        errno=line["errno"],
        fstype=line["fstype"] or None,
        final_put=line["final_put"] or None,
        n_mounts=line["n_mounts"] or None,
        **times,
    )


def _text(spelled: str) -> str:
    """Return bytes as a recording has them."""
    return bytes.fromhex(spelled).decode("utf-8", "backslashreplace")
