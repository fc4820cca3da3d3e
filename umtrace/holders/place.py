"""Where a path given to umount(2) leads, from the root directory of the umounter."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from umtrace.holders import procfs
from umtrace.holders.lookup import follow
from umtrace.holders.mounts import MountTable
from umtrace.model.holders import ScanRequest

_PATIENCE_S = 0.2
_NO_ROOT = "the root directory at which the path begins"
NO_CWD = "the directory that the path is relative to"


@dataclass(frozen=True, slots=True)
class Place:
    """A path from the root of this process, and a phrase for what is not known of it.

    ``root`` is the root directory of the umounter, None if the umounter has ended. A umounter in a
    chroot has another root in the same mount namespace.
    """

    path: str
    root: str | None
    unknown: str = ""

    def resolved(self, table: MountTable) -> Place:
        """Follow the links above the last component; the last component is the mount."""
        directory, name = posixpath.split(self.path)
        if not directory.startswith("/"):
            return self
        try:
            above = follow(directory, table, _PATIENCE_S)
        except OSError:  # the path does not exist
            return self
        if above.unanswered:
            return Place(self.path, self.root, self.unknown or above.unanswered)
        found = posixpath.join(above.path, name)
        if self.root in {None, "/"} or _within(found, self.root or "/"):
            return Place(found, self.root, self.unknown)
        # An absolute link begins at the root of the umounter; it is not followed there.
        return Place(found, self.root, self.unknown or "where links below another root lead")

    def in_doubt(self, table: MountTable) -> str:
        """Return a phrase if another mount has this path from another root; else empty."""
        if self.root is not None or self.unknown or self.path == "/":
            return self.unknown
        twice = any(p != self.path and p.endswith(self.path) for p in table.points())
        return _NO_ROOT if twice else ""


def locate(request: ScanRequest) -> Place:
    """Return where the path leads, as far as /proc still shows the umounter."""
    path, links = request.path, _links(request.pid)
    if path.startswith("/"):
        root = links.get("root")
        if root is None:
            return Place(_tidy(path), None)
        if not root.startswith("/"):
            return Place(_tidy(path), root, _NO_ROOT)
        return Place(_tidy(root + _tidy(path)), root)
    cwd = links.get("cwd")
    if cwd is None:
        return Place(_tidy(path), None, NO_CWD)
    return Place(_tidy(posixpath.join(cwd, path)), links.get("root"))


def _links(pid: int | None) -> dict[str, str]:
    try:
        return {opened.kind: opened.path for opened in procfs.links(pid)} if pid else {}
    except OSError:
        return {}


def _tidy(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") else path


def _within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
