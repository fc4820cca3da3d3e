"""Interpreters that binfmt_misc holds open: those registered with flag F."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from umtrace.holders.asker import PATIENCE_S, asker
from umtrace.holders.claims import Claim, ListedMount

FSTYPE = "binfmt_misc"
_FILE_SYSTEMS = Path("/proc/filesystems")
_USUAL = "/proc/sys/fs/binfmt_misc"


def interpreters(
    mounts: Iterable[ListedMount],
    lost: list[str],
    *,
    ask: bool = True,
    patience_s: float = PATIENCE_S,
) -> Iterator[Claim]:
    """Yield the interpreters that the entries of binfmt_misc hold open.

    Since Linux 6.7 every user namespace has its own entries; mounts of one device number show the
    same. If binfmt_misc is not mounted, ``ask`` reads the entries without a mount point; this
    makes and ends a mount. ``lost`` gets a line for what could not be read.
    """
    ours = [seen for seen in mounts if seen.mount.fstype == FSTYPE]
    # The mounts of this namespace first, then those that can be reached through a process.
    ours.sort(key=lambda seen: (seen.namespace is not None, seen.pid is None))
    first = {seen.mount.dev: seen for seen in reversed(ours)}
    for seen in first.values():
        yield from _entries(seen, "", lost, patience_s)
    if ask and not first and FSTYPE in _registered():
        yield from _entries(None, FSTYPE, lost, patience_s)


def _entries(
    seen: ListedMount | None, fstype: str, lost: list[str], patience_s: float
) -> Iterator[Claim]:
    shown = seen.mount.point if seen else _USUAL
    root = f"/proc/{seen.pid}/root" if seen and seen.pid else ""
    if seen and seen.namespace is not None and not root:
        where = f"mount namespace {seen.namespace}, in which no process lives"
        lost.append(f"entries of binfmt_misc at {shown} of {where}")
        return
    try:
        files = asker().ask("texts", os.fsencode(root + shown), fstype, patience_s=patience_s)
    except OSError as error:
        lost.append(f"entries of binfmt_misc at {shown}: {error.strerror}")
        return
    for name, text in files:
        path = kept_open(os.fsdecode(text))
        if path is not None:
            yield Claim(
                kind="binfmt",
                path=path,
                pid=seen.pid if seen else None,
                comm=f"{shown}/{os.fsdecode(name)}",
                note=f"{FSTYPE} is not mounted" if fstype else None,
                namespace=seen.namespace if seen else None,
            )


def kept_open(entry: str) -> str | None:
    """Return the interpreter of an entry with flag F, enabled or not; None for any other."""
    fields = dict(line.partition(" ")[::2] for line in entry.split("\n"))
    return fields.get("interpreter") if "F" in fields.get("flags:", "") else None


def _registered() -> set[str]:
    with suppress(OSError):
        return {line.split("\t")[-1] for line in _FILE_SYSTEMS.read_text("utf-8").split("\n")}
    return set()
