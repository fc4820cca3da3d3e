"""Who keeps a mount, or its superblock, busy right now: everything that can be asked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from umtrace.holders import procfs
from umtrace.holders.answer import UNSEEN_OF_A_MOUNT, Answer, seen
from umtrace.holders.kernelrefs import kernel_files
from umtrace.holders.looks import look_again
from umtrace.holders.lookup import look_up
from umtrace.holders.match import holder_of
from umtrace.holders.mounts import Mount
from umtrace.holders.namespaces import Namespace, Namespaces
from umtrace.holders.others import Others
from umtrace.holders.procfs import Open
from umtrace.holders.statx import mount_and_dev
from umtrace.holders.sweep import Sweep, describe
from umtrace.records.holders import Holder

_BUDGET_S = 10.0
#: for second looks at those who run: nobody waits for a mount meanwhile
_PATIENCE_S = 1.0


class Inquiry:
    """One question about one path; ``answer`` takes a second or so on a large host."""

    def __init__(self, path: str) -> None:
        self._spaces = Namespaces.read()
        self._found = look_up(path, self._spaces.own_table)
        self._mount, self._dev = self._subject()
        self._others = Others(self._spaces, self._mount, self._dev)
        self._of = self._others.of
        self._unclear: list[str] = []

    def answer(self) -> Answer:
        """Look through everything."""
        points = {m.point for _, m in self._spaces.mounts() if m.dev == self._dev}
        sweep = Sweep(time.monotonic() + _BUDGET_S, prefixes=points, devs=[self._dev])
        found: list[tuple[Holder, Open | None]] = [(h, None) for h in self._others.holders()]
        found += [(h, None) for h in self._kernel()]
        for opened in sweep.everything():
            if opened.pid != os.getpid() and (holder := self._holder(opened)) is not None:
                found.append((holder, opened))
        sweep.carried()
        sweep.lost += self._unclear
        looked = look_again([opened for _, opened in found], patience_s=_PATIENCE_S)
        holders = [
            replace(holder, **each._asdict())
            for (holder, _), each in zip(found, looked, strict=True)
        ]
        more = self._spaces.denied - set(sweep.denied)
        unread = sweep.denied | {pid: procfs.comm(pid) or "?" for pid in more}
        blind = [describe(unread, "denied, their mount namespaces too")] if unread else []
        blind += [*sweep.lost, *filter(None, [self._found.unasked])]
        return Answer(
            path=self._found.path,
            dev=self._dev,
            state=seen(holders, unread, sweep.lost, n_read=sweep.n_read),
            mount=self._mount,
            holders=tuple(holders),
            blind=tuple(blind),
            unread=unread,
            n_namespaces=len(self._spaces.all),
            unseen=UNSEEN_OF_A_MOUNT,
        )

    def _subject(self) -> tuple[Mount | None, str]:
        if self._found.dev is not None:
            return None, self._found.dev
        mount = self._spaces.own_table.holding(self._found.path)
        if mount is None:
            raise FileNotFoundError(2, "no mount of this namespace holds it", self._found.path)
        return mount, mount.dev

    def _kernel(self) -> Iterator[Holder]:
        for kind, path, by in kernel_files():
            mount = self._spaces.own_table.holding(procfs.undeleted(path))
            if mount is not None and mount.mnt_id in self._of:
                of = self._of[mount.mnt_id]
                yield Holder(kind=kind, of=of, comm=by, detail=path, match="path")
        above = Path("/sys/dev/block", self._dev, "holders")
        for device in sorted(above.iterdir()) if above.is_dir() else ():
            yield Holder(
                kind="device", of="superblock", comm=f"/dev/{device.name}", detail=self._dev
            )

    def _holder(self, opened: Open) -> Holder | None:
        if not opened.path.startswith("/") and opened.kind != "socket":
            return None
        mnt_id, dev = self._behind(opened)
        of = self._of.get(mnt_id or 0)
        if of is None and dev == self._dev:
            of = "superblock"  # through a mount that is in no namespace any more
        if of is None:
            return None
        match = "mount-id" if mnt_id in self._of else "dev"
        mntns = procfs.mntns(opened.pid)
        return holder_of(opened, of=of, match=match, mnt_id=mnt_id, mntns=mntns)

    def _behind(self, opened: Open) -> tuple[int | None, str | None]:
        """Return the mount and, where the mount is not known, the device of something open."""
        if opened.kind in {"maps", "socket"}:
            space = self._spaces.all.get(procfs.mntns(opened.pid) or 0)
            mount = space.table.holding(procfs.undeleted(opened.path)) if space else None
            if opened.dev is not None and (mount is None or mount.dev != opened.dev):
                return self._only_mount(opened, space), opened.dev
            return (mount.mnt_id, mount.dev) if mount else (None, None)
        mnt_id = procfs.mount_id(opened) if opened.kind == "fd" else None
        if mnt_id is not None and self._known(mnt_id):
            return mnt_id, None
        try:
            return mount_and_dev(opened.link)
        except OSError:
            return mnt_id, None

    def _only_mount(self, opened: Open, space: Namespace | None) -> int | None:
        """Return the mount of a file whose name leads elsewhere, if there is but one it can be."""
        mounts = space.table.mounts.values() if space else ()
        same = [mount.mnt_id for mount in mounts if mount.dev == opened.dev]
        if len(same) > 1 and set(same) & {i for i, of in self._of.items() if of != "superblock"}:
            self._unclear.append(f"through which mount pid {opened.pid} bound {opened.path}")
        return same[0] if len(same) == 1 else None

    def _known(self, mnt_id: int) -> bool:
        return any(mnt_id in space.table.mounts for space in self._spaces.all.values())
