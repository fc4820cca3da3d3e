"""What claims a block device, and which tasks have it open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from umtrace.holders import blocks
from umtrace.holders.asker import asker
from umtrace.holders.entrance import Entrances
from umtrace.holders.kernelrefs import swaps
from umtrace.holders.loops import AUTOCLEAR, attached
from umtrace.holders.mount_ids import block_device
from umtrace.holders.mounts import Mount
from umtrace.holders.namespaces import Namespace, Namespaces
from umtrace.holders.procfs import Open
from umtrace.holders.served import backing, served
from umtrace.model.holders import Holder

#: mount options that name another device than the one mounted (ext4, xfs, btrfs)
_BESIDE = frozenset({"logdev", "rtdev", "journal_path", "device"})


def device_of(opened: Open) -> str | None:
    """Return the ``major:minor`` of what a task has open; None if it is no block device."""
    if opened.kind not in {"fd", "maps"} or not opened.path.startswith("/"):
        return None
    with suppress(OSError):
        return block_device(opened.link if opened.kind == "fd" else opened.path)
    return None


@dataclass(slots=True)
class Device:
    """A block device, its partitions, and the devices on top of it (`blocks.family`).

    ``devs`` are the superblocks on these devices, which may have other numbers (btrfs).
    """

    dev: str
    spaces: Namespaces
    family: dict[str, str] = field(default_factory=dict)
    devs: dict[str, str] = field(default_factory=dict)  #: superblock to device of the family
    dead: list[blocks.Btrfs] = field(default_factory=list)  #: in use, but not mounted
    claimed: set[str] = field(default_factory=set)  #: a claim of one of these is a claim of ``dev``

    def __post_init__(self) -> None:
        """Read sysfs."""
        self.family = blocks.family(self.dev)
        self.devs = {dev: dev for dev in self.family}
        disk = blocks.whole(self.dev)
        self.claimed = {*self.family, disk} if disk else {*self.family}
        if disk is not None:
            self.devs[disk] = disk
            for above in blocks.stacked(disk):
                self.devs.setdefault(above, disk)
        for each in blocks.btrfs():
            if own := each.devs & self.claimed:
                mounted = {m.dev for _, m in self.spaces.mounts() if _is_of(m, each)}
                self.devs.update(dict.fromkeys(mounted, min(own)))
                if not mounted:
                    self.dead.append(each)

    def claims(self) -> Iterator[Holder]:
        """Yield the claims and opens that are neither a mount nor a task."""
        for path in swaps():
            with suppress(OSError):
                if (dev := block_device(path)) in self.claimed:
                    yield self._claim("swap", path, dev)
        for dev, below in self.family.items():
            if below and blocks.whole(dev) != below:
                yield self._claim("device", blocks.node(dev), below)
        for claim in [*served(), *backing()]:
            with suppress(OSError):
                if claim.path and (dev := block_device(claim.path)) in self.claimed:
                    made = self._claim(claim.kind, claim.path, dev)
                    yield replace(made, comm=claim.comm)
        for dev, disk in blocks.journals().items():
            if dev in self.claimed:
                yield from self._journal(dev, disk)
        for each in self.dead:
            yield self._claim("btrfs", each.uuid, min(each.devs & self.claimed))
        yield from self._beside()
        yield from self._loops()

    def opener(self, opened: Open, dev: str | None = None) -> Holder | None:
        """Return a task as a holder if it has the device open, by any name in any namespace."""
        dev = dev or device_of(opened)
        if dev is None or dev not in self.family:
            return None
        note = "" if dev == self.dev else f"which is on {blocks.node(self.dev)}"
        return Holder(
            kind=opened.kind,
            of="open",
            pid=opened.pid,
            tid=opened.tid,
            fd=opened.fd,
            detail=opened.path,
            match="rdev",
            note=note or None,
        )

    def _loops(self) -> Iterator[Holder]:
        """Yield the loop devices that have it open as their file."""
        for loop in attached():
            if loop.below is not None and loop.below in self.family:
                note = AUTOCLEAR if loop.autoclear else None
                yield replace(
                    self._claim("loop", loop.file, loop.below),
                    of="open",
                    comm=loop.node,
                    match="rdev",
                    note=note,
                )

    def on_btrfs(self, opened: Open) -> bool:
        """Whether something open is on a btrfs that is no longer mounted."""
        if not self.dead or not opened.path.startswith("/") or opened.kind == "maps":
            return False
        try:
            found = asker().ask("fsid", os.fsencode(opened.link))
        except OSError:
            return False
        return found & 0xFFFFFFFF in {each.fsid for each in self.dead}

    def _journal(self, dev: str, disk: str | None) -> Iterator[Holder]:
        """Yield the mounts that have it as their journal; if there are none, the journal itself."""
        here = [(s, m) for s, m in self.spaces.mounts() if disk is not None and m.dev == disk]
        for space, mount in here:
            yield self._mount(space, mount, f"its journal is {blocks.node(dev)}")
        if not here:
            yield self._claim("journal", blocks.node(disk) if disk else blocks.node(dev), dev)

    def _mount(self, space: Namespace, mount: Mount, note: str) -> Holder:
        holder = Entrances(self.spaces).holder("mount", "claim", space, mount)
        return replace(holder, note=note, match="dev")

    def _beside(self) -> Iterator[Holder]:
        """Yield the mounts that have their log, journal or another part on it, by their options."""
        seen = set()
        for space, mount in self.spaces.mounts():
            for option in mount.options.split(","):
                name, _, path = option.partition("=")
                with suppress(OSError):
                    if (
                        name in _BESIDE
                        and mount.dev not in self.devs
                        and block_device(path) in self.claimed
                        and mount.mnt_id not in seen
                    ):
                        seen.add(mount.mnt_id)
                        yield self._mount(space, mount, f"{option} is part of it")

    def _claim(self, kind: str, what: str, dev: str | None) -> Holder:
        on = blocks.node(dev) if dev and dev != self.dev else None
        return Holder(
            kind=kind, of="claim", detail=what, match="dev", note=f"on {on}" if on else None
        )


def _is_of(mount: Mount, each: blocks.Btrfs) -> bool:
    if mount.fstype != "btrfs":
        return False
    with suppress(OSError):
        return block_device(mount.source) in each.devs
    return False
