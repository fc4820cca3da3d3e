"""Finds what holds a mount, its superblock or a block device now, from every source."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

from umtrace.holders import blocks, procfs
from umtrace.holders.answer import (
    UNSEEN_OF_A_DEVICE,
    UNSEEN_OF_A_MOUNT,
    Answer,
    KernelAnswer,
    verdict_of_a_device,
    verdict_of_a_mount,
    verdict_of_a_path,
)
from umtrace.holders.ask_kernel import EXPIRE, Question, ask_device, ask_mount, refusal
from umtrace.holders.asker import asker
from umtrace.holders.behind import LoopsBehind
from umtrace.holders.below import Below
from umtrace.holders.device import Device
from umtrace.holders.exiting import exiting_tasks, still_exiting
from umtrace.holders.kernelrefs import kernel_files, not_there, swap_is_on
from umtrace.holders.lookup import look_up
from umtrace.holders.match import holder_of
from umtrace.holders.mount_ids import mount_and_dev
from umtrace.holders.mounts import Mount
from umtrace.holders.namespaces import Namespace, Namespaces
from umtrace.holders.others import Others
from umtrace.holders.procfs import Open
from umtrace.holders.sampling import resample
from umtrace.holders.sweep import Sweep, describe
from umtrace.holders.unshown import Unshown
from umtrace.model.holders import Holder

_BUDGET_S = 10.0
#: for more samples of running tasks; no umount waits meanwhile
_PATIENCE_S = 1.0


class BusyQuery:
    """One question about one path; ``answer`` takes a second or so on a large host.

    With ``ask_kernel`` the kernel is asked too, which has a price (docs/why.md).
    """

    def __init__(self, path: str, *, ask_kernel: bool = False) -> None:
        self._ask = ask_kernel
        self._spaces = Namespaces.read()
        self._found = look_up(path, self._spaces.own_table)
        self._mount, self._device = self._subject()
        self._below = self._if_no_mount_point()
        self._devs = self._device.devs if self._device else [self._mount.dev] if self._mount else []
        others = [Others(self._spaces, self._mount, dev) for dev in self._devs]
        self._of = {number: of for each in others for number, of in each.of.items()}
        self._points = {point for each in others for point in each.points}
        self._all_devs = {dev for each in others for dev in each.devs}
        covers = {"covers": self._below.covers} if self._below else {}
        self._loops = LoopsBehind(self._spaces, self._of, self._devs, **covers)
        own = (holder for each in others for holder in each.holders())
        self._known = [*(self._below.mounts() if self._below else own)]
        self._elsewhere = _elsewhere(self._known) if self._below else {}
        self._points |= set(self._elsewhere.values())
        self._own: list[str] = []  # what this process has open there
        self._unclear: list[str] = []

    def answer(self) -> Answer:
        """Scan all sources, then ask the kernel."""
        exiting = exiting_tasks()
        prefixes = self._points | ({self._found.path} if self._device else set())
        sweep = Sweep(
            time.monotonic() + _BUDGET_S,
            prefixes=prefixes,
            devs=self._all_devs,
            # A file of a detached mount has another path; one below a directory has not.
            mapped_devs=() if self._below else self._all_devs,
        )
        found: list[tuple[Holder, Open | None]] = [(h, None) for h in self._not_of_processes()]
        for opened in sweep.everything():
            holder = self._holder(opened)
            if holder is not None and opened.pid != os.getpid():
                found.append((holder, opened))
            elif holder is not None and holder.of in {"mount", "copy"} and opened.kind != "cwd":
                self._own.append(f"{opened.kind} {opened.path}")
        samples = resample([opened for _, opened in found], patience_s=_PATIENCE_S)
        sweep.lost += [*not_there(), *self._spaces.lost, *self._unclear, *still_exiting(exiting)]
        holders = [
            replace(holder, **each._asdict())
            for (holder, _), each in zip(found, samples, strict=True)
        ]
        unshown = Unshown(self._spaces, self._of, self._all_devs, self._mount, self._below)
        holders += unshown.holders(sweep)
        return self._answer(holders, sweep)

    def _answer(self, holders: list[Holder], sweep: Sweep) -> Answer:
        more = self._spaces.denied - set(sweep.denied)
        unread = sweep.denied | {pid: procfs.comm(pid) or "?" for pid in more}
        blind = [describe(unread, "denied, their mount namespaces too")] if unread else []
        kernel = self._kernel_answer()
        judge = verdict_of_a_path if self._below else verdict_of_a_mount
        judge = verdict_of_a_device if self._device else judge
        return Answer(
            path=self._found.path,
            dev=self._device.dev if self._device else self._mount.dev if self._mount else "",
            state=judge(holders, unread, sweep.lost, n_read=sweep.n_read, kernel=kernel),
            mount=self._mount,
            file=blocks.loop_file(self._device.dev) if self._device else None,
            holders=tuple(holders),
            blind=(*blind, *sweep.lost, *filter(None, [self._found.unanswered])),
            unread=unread,
            n_namespaces=len(self._spaces.all),
            kernel=kernel,
            unseen=UNSEEN_OF_A_DEVICE if self._device else UNSEEN_OF_A_MOUNT,
        )

    def _subject(self) -> tuple[Mount | None, Device | None]:
        if self._found.dev is not None:
            return None, Device(self._found.dev, self._spaces)
        mount = self._spaces.own_table.holding(self._found.path)
        if mount is None:
            raise FileNotFoundError(2, "no mount of this namespace holds it", self._found.path)
        return mount, None

    def _if_no_mount_point(self) -> Below | None:
        if self._mount is None or self._mount.point == self._found.path:
            return None
        return Below(self._found.path, self._mount, self._spaces)

    def _not_of_processes(self) -> Iterator[Holder]:
        yield from self._known
        if self._device is not None:
            yield from self._device.claims()
        for loop in self._loops.holders():
            if self._device is None or loop.of == "superblock":
                yield loop  # the users of a loop device matter only if PATH is that device
        self._unclear += self._loops.unclear
        for holder in self._kernel():
            if self._below is None or self._below.covers(holder.detail or ""):
                yield holder

    def _kernel(self) -> Iterator[Holder]:
        for kind, path, by in kernel_files():
            mount = self._spaces.own_table.holding(procfs.undeleted(path))
            if kind == "loop" or mount is None:
                continue
            of = self._of.get(mount.mnt_id)
            if kind == "swap" and of is not None and swap_is_on(mount, path) is False:
                of = self._of_another(mount, procfs.undeleted(path))
            if of is not None:
                yield Holder(kind=kind, of=of, comm=by, detail=path, match="path")

    def _of_another(self, mount: Mount, path: str) -> str | None:
        """Return `Holder.of` for a file that has its path on a mount of another namespace."""
        holding = (space.table.holding(path) for space in self._spaces.all.values())
        others = {m.mnt_id for m in holding if m is not None and m.mnt_id != mount.mnt_id}
        return next((self._of[number] for number in others if number in self._of), None)

    def _kernel_answer(self) -> KernelAnswer | None:
        if not self._ask:
            return None
        if self._device is not None:
            return ask_device(self._found.path, self._device.dev)
        mount = self._mount
        if mount is None or self._below is not None:
            return KernelAnswer("refused", EXPIRE, "not a mount point")
        asker().close()
        if asker().pids:
            self._own.append("a child process that waits for a server, perhaps")
        children = self._spaces.own_table.children(mount)
        below = [f"mounts below it, such as {children[0].point}"] if children else []
        if why := refusal(mount.fstype, mount.point, self._own) or "".join(below):
            return KernelAnswer("refused", EXPIRE, why)
        return ask_mount([Question("mount", mount.point, mount.mnt_id), *self._copies()])

    def _copies(self) -> Iterator[Question]:
        """Yield the copies that umount checks too."""
        for space, mount in self._spaces.mounts():
            if self._of.get(mount.mnt_id) == "copy":
                inside = space is not self._spaces.outside and space.inode == self._spaces.own
                ns_file = None if inside else space.ns_file
                yield Question("mount", mount.point, mount.mnt_id, ns_file)

    def _holder(self, opened: Open) -> Holder | None:
        opener = self._device or self._loops
        if (holder := opener.opener(opened)) is not None:
            return replace(holder, comm=procfs.comm(opened.pid, opened.tid))
        if not opened.path.startswith("/") and opened.kind != "socket":
            return None
        if self._below is not None and not self._is_below(self._below, opened.path):
            return None
        mnt_id, dev = self._behind(opened)
        if mnt_id in self._elsewhere:
            mntns = procfs.mntns(opened.task)
            return holder_of(opened, of="superblock", match="mount-id", mnt_id=mnt_id, mntns=mntns)
        of = self._of.get(mnt_id or 0)
        if of is None and dev in self._devs:
            of = "superblock"  # through a mount that is in no namespace
        if (
            of is None
            and self._device
            and not self._spaces.lists(mnt_id)
            and self._device.on_btrfs(opened)
        ):
            of = "superblock"
        if of is None or (self._below is not None and of != "mount"):
            return None
        match = "mount-id" if mnt_id in self._of else "dev"
        mntns = procfs.mntns(opened.task)
        return holder_of(opened, of=of, match=match, mnt_id=mnt_id, mntns=mntns)

    def _is_below(self, below: Below, path: str) -> bool:
        return below.covers(path) or path.startswith(tuple(self._elsewhere.values()))

    def _behind(self, opened: Open) -> tuple[int | None, str | None]:
        """Return the mount id of something open, or its device if the mount is not known."""
        if opened.kind in {"maps", "socket"} and opened.mnt_id is None:
            return self._by_name(opened)
        mnt_id = procfs.mount_id(opened) if opened.kind in {"fd", "maps"} else None
        if mnt_id is not None and self._spaces.lists(mnt_id):
            return mnt_id, None
        if opened.kind == "maps":
            return mnt_id, opened.dev
        try:
            return mount_and_dev(opened.link)
        except OSError:
            return mnt_id, None

    def _by_name(self, opened: Open) -> tuple[int | None, str | None]:
        space = self._spaces.all.get(procfs.mntns(opened.task) or 0)
        mount = space.table.holding(procfs.undeleted(opened.path)) if space else None
        if opened.kind == "maps":
            # Before Linux 6.8 a file mapped through an overlay has the device of its layer.
            ours = mount is not None and mount.mnt_id in self._of
            return (mount.mnt_id if mount and ours else None), opened.dev
        if opened.dev is not None and (mount is None or mount.dev != opened.dev):
            return self._only_mount(opened, space), opened.dev
        return (mount.mnt_id, mount.dev) if mount else (None, None)

    def _only_mount(self, opened: Open, space: Namespace | None) -> int | None:
        """Return the mount of a file if its name leads elsewhere and only one mount is possible."""
        mounts = space.table.mounts.values() if space else ()
        same = [mount.mnt_id for mount in mounts if mount.dev == opened.dev]
        if len(same) > 1 and set(same) & {i for i, of in self._of.items() if of != "superblock"}:
            self._unclear.append(f"through which mount pid {opened.pid} bound {opened.path}")
        return same[0] if len(same) == 1 else None


def _elsewhere(holders: list[Holder]) -> dict[int, str]:
    """Return the mounts in other namespaces: their ids and mount points."""
    return {h.mnt_id: h.detail for h in holders if h.kind == "mount" and h.mnt_id and h.detail}
