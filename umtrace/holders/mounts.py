"""Mounts as /proc/PID/mountinfo lists them."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")
_FIXED_FIELDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of mountinfo; ``peers`` and ``master`` are peer group numbers."""

    mnt_id: int
    parent: int
    dev: str
    root: str
    point: str
    fstype: str
    source: str
    options: str
    peers: int | None = None
    master: int | None = None


class MountTable:
    """The mounts of one namespace; their parents decide to which one a path leads.

    The order of the lines is the order in which they were made. It is not the order in which they
    cover each other: ``mount --move`` puts an old mount on top of a new one.
    """

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self.mounts = {mount.mnt_id: mount for mount in mounts}
        self._on: dict[tuple[int | None, str], Mount] = {}
        self._children: dict[int, list[Mount]] = {}
        for mount in self.mounts.values():
            if mount.parent != mount.mnt_id:
                self._children.setdefault(mount.parent, []).append(mount)
            below = self.parent(mount)
            number = None if below is None or below is mount else below.mnt_id
            self._on[number, mount.point] = mount

    @classmethod
    def of(cls, pid: int | str = "self") -> MountTable:
        """Read the table of a process; OSError if that is not possible.

        Not for another process while tracing: the open file pins its namespace, and its close may
        run the teardown of that namespace.
        """
        return cls(parse(os.fsdecode(Path(f"/proc/{pid}/mountinfo").read_bytes())))

    def at(self, point: str) -> Mount | None:
        """Return the topmost mount at this mount point; None if it is no mount point."""
        mount = self.holding(point)
        return mount if mount is not None and mount.point == point else None

    def points(self) -> set[str]:
        """Return the mount points."""
        return {mount.point for mount in self.mounts.values()}

    def holding(self, path: str) -> Mount | None:
        """Return the mount in which a path lies; None for a relative path.

        The walk is that of the kernel: it begins at the root directory, without mounts on top of
        it, and at each directory enters the mount on it. It never reaches what is below a covered
        directory.
        """
        if not path.startswith("/"):
            return None
        mount, point = self._on.get((None, "/")), ""
        for name in filter(None, path.split("/")):
            point += "/" + name
            while above := self._on.get((mount.mnt_id if mount else None, point)):
                mount = above
        return mount

    def children(self, mount: Mount) -> list[Mount]:
        """Return the mounts on directories of this mount."""
        return self._children.get(mount.mnt_id, [])

    def parent(self, mount: Mount) -> Mount | None:
        """Return the mount on which it is mounted; None if that is not in the table."""
        return self.mounts.get(mount.parent)


def inside(mount: Mount, path: str) -> str:
    """Return the path inside the file system of a path below its mount point."""
    below = posixpath.relpath(path, mount.point)
    return posixpath.normpath(posixpath.join(mount.root, below))


def parse(text: str) -> Iterator[Mount]:
    """Yield the mounts of a mountinfo text; a malformed line is left out."""
    # The kernel escapes blank, tab, newline and backslash. Other characters at which splitlines
    # splits (form feed, U+0085, U+2028) are part of a path.
    for line in text.split("\n"):
        head, found, tail = line.partition(" - ")
        fields, rest = head.split(" "), tail.split(" ")
        if not found or len(fields) < _FIXED_FIELDS or not rest:
            continue
        groups = dict(tag.partition(":")[::2] for tag in fields[_FIXED_FIELDS:])
        fstype, source, options = (*rest, "", "")[:3]
        yield Mount(
            mnt_id=int(fields[0]),
            parent=int(fields[1]),
            dev=fields[2],
            root=unescape(fields[3]),
            point=unescape(fields[4]),
            fstype=fstype,
            source=unescape(source),
            options=options,
            peers=_number(groups.get("shared")),
            master=_number(groups.get("master")),
        )


def unescape(text: str) -> str:
    r"""Return text with the kernel's octal escapes (``\040`` for a blank) undone."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def layers(mount: Mount) -> list[tuple[str, str]]:
    """Return (role, path) of an overlay's lower, upper and work directories."""
    if mount.fstype != "overlay":
        return []
    found = []
    for option in mount.options.split(","):
        name, _, value = option.partition("=")
        role = name.rstrip("+").removesuffix("dir")
        if name.rstrip("+") in {"lowerdir", "upperdir", "workdir", "datadir"}:
            # Only lowerdir= is a list; a colon that is no separator has another backslash.
            text = unescape(value)
            paths = _listed(text) if name == "lowerdir" else [text]
            found += [(role, path) for path in paths if path]
    return found


def _listed(text: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", each) for each in re.findall(r"(?:\\.|[^:\\])+", text)]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def root_for(point: str, file: str) -> str:
    """Return a directory above ``file`` for chroot(2): above ``point`` if that is not the root."""
    above = posixpath.dirname(point)
    if above != "/":
        return above
    if point != "/":
        return point
    return posixpath.dirname(file)
