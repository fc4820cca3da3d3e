"""Who claims a block device, or has it open: what is on it, and the processes that opened it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from umtrace.holders import blocks
from umtrace.holders.entrance import Entrances
from umtrace.holders.kernelrefs import swaps
from umtrace.holders.mounts import Mount
from umtrace.holders.namespaces import Namespaces
from umtrace.holders.procfs import Open
from umtrace.holders.statx import block_device
from umtrace.records.holders import Holder

#: mount options that name a device beside the one mounted (ext4, xfs, btrfs)
_BESIDE = frozenset({"logdev", "rtdev", "journal_path", "device"})


@dataclass(slots=True)
class Device:
    """A block device, and all whose claim or open is one of it: ``family`` has the one below each.

    ``devs`` are the superblocks that are on them, which may have numbers of their own (btrfs).
    """

    dev: str
    spaces: Namespaces
    family: dict[str, str] = field(default_factory=dict)
    devs: dict[str, str] = field(default_factory=dict)  #: superblock -> device of the family
    dead: list[blocks.Btrfs] = field(default_factory=list)  #: alive, but mounted nowhere
    claimed: set[str] = field(default_factory=set)  #: those whose claim excludes others from ours

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
        """Yield what claims it and is no mount, no process."""
        for path in swaps():
            with suppress(OSError):
                if (dev := block_device(path)) in self.claimed:
                    yield self._claim("swap", path, dev)
        for dev, below in self.family.items():
            if below and blocks.whole(dev) != below:
                yield self._claim("device", blocks.node(dev), below)
        for dev in blocks.journals() & self.claimed:
            yield self._claim("journal", blocks.node(dev), dev)
        for each in self.dead:
            yield self._claim("btrfs", each.uuid, min(each.devs & self.claimed))
        yield from self._beside()

    def opener(self, opened: Open) -> Holder | None:
        """Return who has the node of it open, under whatever name and in whatever namespace."""
        if opened.kind not in {"fd", "maps"} or not opened.path.startswith("/"):
            return None
        try:
            dev = block_device(opened.link if opened.kind == "fd" else opened.path)
        except OSError:
            return None
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

    def _beside(self) -> Iterator[Holder]:
        """Yield the mounts that have their log, journal or another part on it."""
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
                        holder = Entrances(self.spaces).holder("mount", "claim", space, mount)
                        yield replace(holder, note=f"{option} is part of it", match="dev")

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
