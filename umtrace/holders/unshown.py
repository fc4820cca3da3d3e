"""Holders that no descriptor, directory or mapping of a process shows."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from umtrace.holders import procfs
from umtrace.holders.below import Below
from umtrace.holders.binfmt import interpreters
from umtrace.holders.carried import carried, closed_rings, ring_workers, waiting
from umtrace.holders.claims import Claim, ListedMount
from umtrace.holders.images import images
from umtrace.holders.inflight import unpacked
from umtrace.holders.links import linked_uprobes
from umtrace.holders.lookup import follow, may_never_answer
from umtrace.holders.mounts import Mount, MountTable
from umtrace.holders.namespaces import Namespace, Namespaces
from umtrace.holders.procfs import Open
from umtrace.holders.served import served
from umtrace.holders.sweep import Sweep
from umtrace.holders.walks import UMOUNT, UNMOUNTERS, Walk, still_walking, walks
from umtrace.model.holders import Holder

_THROUGH_A_TASK = re.compile(r"/proc/(\d+)/root(/.*)")
_PATIENCE_S = 0.5
#: the kernel has the name that was given, not the present path of the file
_NAMED_ONCE = frozenset({"binfmt", "perf-uprobe"})
_SECOND_SAMPLE_S = 0.05


class Unshown:
    """Matches claims to the mounts in question.

    ``of`` has the value of `Holder.of` by mount id. A claim that may be on the mount, or anywhere,
    is a ``suspect``.
    """

    def __init__(
        self,
        spaces: Namespaces,
        of: Mapping[int, str],
        devs: Collection[str],
        mount: Mount | None,
        below: Below | None = None,
    ) -> None:
        self._spaces = spaces
        self._of = of
        self._devs = devs
        self._mount = mount
        self._below = below
        self._server = fuse_connection(mount) if mount is not None else None

    def holders(self, sweep: Sweep) -> Iterator[Holder]:
        """Yield the holders; call it when the sweep is over. Adds to ``sweep.lost``."""
        for claim in self._claims(sweep):
            holder = self._holder(claim)
            if holder is not None and self._is_listed(holder, claim, sweep):
                yield holder
        yield from self._walking(sweep)

    def _is_listed(self, holder: Holder, claim: Claim, sweep: Sweep) -> bool:
        if self._below is not None:
            return holder.of == "mount" and self._below.covers(claim.path)
        if self._mount is None and holder.of == "suspect":
            sweep.lost.append(claim.in_words())
            return False
        return True

    def _claims(self, sweep: Sweep) -> Iterator[Claim]:
        mounts = [self._listed(space, mount) for space, mount in self._spaces.mounts()]
        # An EROFS mount is already found, with the steps to unmount it (others.py).
        yield from images(seen for seen in mounts if seen.mount.fstype != "erofs")
        yield from interpreters(mounts, sweep.lost)
        yield from served()
        yield from linked_uprobes(sweep.links, mounts, sweep.lost)
        yield from ring_workers()
        yield from closed_rings(sweep.rings)
        for opened, claim in _lasting(list(sweep.carriers())):
            yield from self._unpacked(opened, claim)

    def _unpacked(self, opened: Open, claim: Claim) -> Iterator[Claim]:
        """Yield a claim for each file in flight, if the question is about a mount."""
        if claim.kind != "in-flight" or self._mount is None or opened.tid != opened.pid:
            yield claim
            return
        number = waiting(opened)
        found = list(unpacked(claim, number, self._spaces.lists))
        yield from found if waiting(opened) == number else [claim]

    def _listed(self, space: Namespace, mount: Mount) -> ListedMount:
        if space.inode == self._spaces.own:
            return ListedMount(mount)
        return ListedMount(mount, space.inode, next(iter(space.pids), None))

    def _holder(self, claim: Claim) -> Holder | None:
        mntns = procfs.mntns(claim.pid) if claim.pid else None
        match: str | None
        if claim.anywhere:
            return claim.holder("suspect", None, mntns)
        if claim.mnt_id is not None:
            of, match = self._of.get(claim.mnt_id), "mount-id"
        elif claim.dev is not None:
            of, match = "superblock" if claim.dev in self._devs else None, "dev"
        else:
            namespace = claim.namespace or (mntns if claim.pid else self._spaces.own)
            mount = self._mount_of(claim.path, namespace)
            of, match = self._of.get(mount.mnt_id) if mount else None, "path"
        if of is None and claim.kind in _NAMED_ONCE and self._is_missing(claim):
            of, match = "suspect", None
        return claim.holder(of, match, mntns) if of is not None else None

    def _is_missing(self, claim: Claim) -> bool:
        """Whether a file is not at its path: its mount may have been moved."""
        own = (claim.namespace or self._spaces.own) == self._spaces.own
        if not own or not claim.path.startswith("/"):
            return False
        try:
            follow(claim.path, self._spaces.own_table, _PATIENCE_S, stop=may_never_answer)
        except FileNotFoundError:
            return True
        return False

    def _mount_of(self, path: str, inode: int | None) -> Mount | None:
        """Return the mount of a path of a mount namespace, with inode number ``inode``."""
        through = _THROUGH_A_TASK.fullmatch(path)
        if through is not None:
            inode, path = procfs.mntns(int(through[1])), through[2]
        path = procfs.undeleted(path)
        space = self._spaces.all.get(inode or 0)
        if space is None:
            return None
        if inode == self._spaces.own:
            path = _followed(path, space.table)
        return space.table.holding(path)

    def _walking(self, sweep: Sweep) -> Iterator[Holder]:
        until = time.monotonic() + max(sweep.left_s, 1)
        pids = [pid for pid in sweep.pids if pid not in sweep.denied]
        met = ((walk, self._met(walk)) for walk in walks(pids, sweep.lost, until))
        found = [(walk, of) for walk, of in met if of is not None]
        stay = still_walking([walk for walk, _ in found], sweep.lost)
        for walk, of in found:
            if walk not in stay and (of == "suspect" or _unmounts(walk)):
                continue  # who asks to unmount and goes on is the caller, and holds nothing
            claim = self._walker(walk, of)
            holder = claim.holder(of, "path", procfs.mntns(walk.pid))
            holder = replace(holder, looks=1 if walk in stay else 2)
            if self._is_listed(holder, claim, sweep):
                yield holder

    def _walker(self, walk: Walk, of: str) -> Claim:
        return Claim(
            kind="walk",
            pid=walk.pid,
            tid=walk.tid,
            path=walk.path or "",
            note=self._server if of in {"mount", "copy"} else None,
            detail=f"{walk.call} {walk.path or 'of a path that is not known'}{_before(walk)}",
        )

    def _met(self, walk: Walk) -> str | None:
        if walk.path is None:
            return "suspect"
        mount = self._mount_of(walk.path, procfs.mntns(walk.pid))
        return self._of.get(mount.mnt_id) if mount else None


def _unmounts(walk: Walk) -> bool:
    return walk.call == UMOUNT or bool(UNMOUNTERS.match(procfs.comm(walk.pid) or ""))


def _before(walk: Walk) -> str:
    """Return a remark on an umount that hangs in its own walk: another one gets EBUSY meanwhile."""
    if walk.call == UMOUNT:
        return " in its umount"
    return " before its umount" if _unmounts(walk) else ""


def _lasting(carriers: list[Open]) -> Iterator[tuple[Open, Claim]]:
    """Yield claims that are in two samples: most descriptors in flight are received at once."""
    first = {opened: list(carried(opened, ask=True)) for opened in carriers}
    if any(first.values()):
        time.sleep(_SECOND_SAMPLE_S)
    for opened, claims in first.items():
        later = list(carried(opened, ask=True)) if claims else []
        yield from ((opened, claim) for claim in claims if claim in later)


def fuse_connection(mount: Mount) -> str | None:
    """Return the connection of a FUSE mount; it has the number of the superblock."""
    if mount.fstype.partition(".")[0] not in {"fuse", "fuseblk"}:
        return None
    major, _, minor = mount.dev.partition(":")
    return f"FUSE connection {int(major) << 20 | int(minor)}"


def _followed(path: str, table: MountTable) -> str:
    """Return where a path leads; the path itself if it does not exist or gets no answer."""
    try:
        return follow(path, table, _PATIENCE_S, stop=may_never_answer).path
    except OSError:
        return path
