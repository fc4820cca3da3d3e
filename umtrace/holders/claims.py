"""A file that is kept where no descriptor shows it, and as much as is known of its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from umtrace.holders import procfs
from umtrace.holders.mounts import Mount
from umtrace.model.holders import Holder


class ListedMount(NamedTuple):
    """A mount, and the mount namespace that it is in, with a process there; None: our own."""

    mount: Mount
    namespace: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who keeps a file, and which, or in which mount: what is not known is left out.

    Nothing known means that the file may be anywhere. ``sure`` is False where the place is known
    and not whether anything is kept there.
    """

    kind: str
    path: str = ""
    pid: int | None = None
    tid: int | None = None
    fd: int | None = None
    comm: str | None = None  #: or what stands for it, where no process does
    detail: str = ""  #: for people; the path, if there is nothing to add
    mnt_id: int | None = None
    dev: str | None = None
    note: str | None = None
    sure: bool = True
    namespace: int | None = None  #: the mount namespace that has the path; None: that of ``pid``

    @property
    def anywhere(self) -> bool:
        """Whether nothing is known of the place."""
        return not self.path.startswith("/") and self.mnt_id is None and self.dev is None

    def holder(self, of: str, match: str | None, mntns: int | None = None) -> Holder:
        """Return it as a holder; one that is not sure, or may be anywhere, as a suspect."""
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
        """Return it in words, as something that could not be looked into."""
        who = f"pid {self.pid} ({procfs.comm(self.pid) or '?'})" if self.pid else self.comm or "?"
        fd = f", fd {self.fd}" if self.fd is not None else ""
        return f"{self.kind} of {who}{fd}: {self.detail or self.path}"
