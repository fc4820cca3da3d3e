"""The loop devices behind which a mount has a file, and who keeps them attached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from umtrace.holders.device import Device
from umtrace.holders.loops import AUTOCLEAR, Loop, attached
from umtrace.holders.namespaces import Namespaces
from umtrace.holders.others import Others
from umtrace.holders.procfs import Open, undeleted
from umtrace.records.holders import Holder


class LoopsBehind:
    """Loop devices of the mounts that ``of`` names, as `Holder.of` does, and of ``devs``.

    A file system may have files behind loop devices and no mount in any namespace any more.

    The kernel says of which file system the file is, not through which mount it was opened: where
    more than one has that name, in other namespaces say, ``unclear`` grows.
    """

    def __init__(self, spaces: Namespaces, of: Mapping[int, str], devs: Iterable[str]) -> None:
        self._spaces = spaces
        self._of = of
        self._devs = {*devs, *(m.dev for _, m in spaces.mounts() if m.mnt_id in of)}
        self.unclear: list[str] = []
        self._ours = [(loop, found) for loop in attached() if (found := self._role(loop))]
        self._devices = [(loop, Device(loop.dev, spaces)) for loop, _ in self._ours]

    def holders(self) -> Iterator[Holder]:
        """Yield each loop device, what claims it, and the mounts on it."""
        for loop, of in self._ours:
            note = AUTOCLEAR if loop.autoclear else None
            yield Holder(
                kind="loop", of=of, comm=loop.node, detail=loop.file, match="dev", note=note
            )
        for loop, device in self._devices:
            note = f"keeps {loop.node} attached"
            yield from (replace(claim, note=note) for claim in device.claims())
            for dev in device.devs:
                for mount in Others(self._spaces, None, dev).holders():
                    yield replace(mount, of="claim", note=note)

    def opener(self, opened: Open) -> Holder | None:
        """Return who has one of the loop devices open."""
        for loop, device in self._devices:
            if (holder := device.opener(opened)) is not None:
                return replace(holder, note=f"keeps {loop.node} attached")
        return None

    def _role(self, loop: Loop) -> str:
        if loop.backing is not None and loop.backing not in self._devs:
            return ""
        roles = set()
        for space in self._spaces.all.values():
            mount = space.table.holding(undeleted(loop.file))
            if mount is not None and mount.mnt_id in self._of:
                roles.add(self._of[mount.mnt_id])
        if roles and roles <= {"mount", "copy"}:
            return "mount" if "mount" in roles else "copy"
        if roles & {"mount", "copy"}:
            self.unclear.append(f"through which mount {loop.node} has {loop.file} open")
        return "superblock" if roles or loop.backing is not None else ""
