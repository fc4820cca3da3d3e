"""A file that is held where no descriptor shows it, and what is known of its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from umtrace.holders import procfs
from umtrace.holders.mounts import Mount
from umtrace.model.holders import Holder


class ListedMount(NamedTuple):
    """A mount, its mount namespace (None: that of this process), and a process in it."""

    mount: Mount
    namespace: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A holder of a file, and the file or its mount; what is not known is empty or None.

    If neither path, mount nor device is known, the file may be anywhere. ``sure`` is False if the
    place is known, but not whether a file is held there.
    """

    kind: str
    path: str = ""
    pid: int | None = None
    tid: int | None = None
    fd: int | None = None
    comm: str | None = None  #: the name of the task, or of the kernel object if there is no task
    detail: str = ""  #: text; empty: the path
    mnt_id: int | None = None
    dev: str | None = None
    note: str | None = None
    sure: bool = True
    namespace: int | None = None  #: of the path; None: that of ``pid``

    @property
    def anywhere(self) -> bool:
        """Whether nothing is known of the place."""
        return not self.path.startswith("/") and self.mnt_id is None and self.dev is None

    def holder(self, of: str, match: str | None, mntns: int | None = None) -> Holder:
        """Return it as a holder; as a suspect if it is not sure or may be anywhere."""
        sure = self.sure and not self.anywhere
        return Holder(
            kind=self.kind,
            of=of if sure else "suspect",
            pid=self.pid,
            tid=self.tid,
            comm=self.comm or (procfs.comm(self.pid, self.tid) if self.pid else None),
            fd=self.fd,
            detail=self.detail or self.path,
            mnt_id=self.mnt_id,
            mntns=mntns,
            match=match if sure else None,
            note=self.note,
        )

    def in_words(self) -> str:
        """Return a phrase for the list of what could not be read."""
        who = f"pid {self.pid} ({procfs.comm(self.pid) or '?'})" if self.pid else self.comm or "?"
        fd = f", fd {self.fd}" if self.fd is not None else ""
        return f"{self.kind} of {who}{fd}: {self.detail or self.path}"
