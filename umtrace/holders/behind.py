"""The loop devices with a file on a mount, and the users of these loop devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from umtrace.holders.device import Device, device_of
from umtrace.holders.loops import AUTOCLEAR, Loop, attached, seen_from
from umtrace.holders.mounts import root_for
from umtrace.holders.namespaces import Namespaces
from umtrace.holders.others import Others
from umtrace.holders.procfs import Open, undeleted
from umtrace.model.holders import Holder


class LoopsBehind:
    """Loop devices with a file on the mounts in ``of`` or on the superblocks ``devs``.

    ``of`` has the value of `Holder.of` by mount id. ``devs`` is for file systems that are no longer
    mounted in any namespace.

    The kernel reports the file system of the file, not the mount through which it was opened. If
    several mounts have the file's path, for example in other namespaces, ``unclear`` gets a line.
    ``covers`` excludes files that the question is not about.
    """

    def __init__(
        self,
        spaces: Namespaces,
        of: Mapping[int, str],
        devs: Iterable[str],
        covers: Callable[[str], bool] = lambda _path: True,
    ) -> None:
        self._spaces = spaces
        self._of = of
        self._devs = {*devs, *(m.dev for _, m in spaces.mounts() if m.mnt_id in of)}
        self._listed = {m.dev for _, m in spaces.mounts()}
        self.unclear: list[str] = []
        asked = [loop for loop in attached() if covers(undeleted(loop.file))]
        self._ours = [(loop, found) for loop in asked if (found := self._role(loop))]
        busy = [loop for loop, of in self._ours if of in {"mount", "copy"}]
        self._devices = [(loop, Device(loop.dev, spaces)) for loop in busy]

    def holders(self) -> Iterator[Holder]:
        """Yield each loop device, the claims of it, and the mounts of it."""
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
        """Return a task as a holder if it has one of the loop devices open."""
        dev = device_of(opened) if self._devices else None
        for loop, device in self._devices if dev is not None else ():
            if (holder := device.opener(opened, dev)) is not None:
                return replace(holder, note=f"keeps {loop.node} attached")
        return None

    def _role(self, loop: Loop) -> str:
        if self._elsewhere(loop):
            return ""
        roles = set()
        for space in self._spaces.all.values():
            mount = space.table.holding(undeleted(loop.file))
            if mount is not None and mount.mnt_id in self._of:
                roles.add(self._of[mount.mnt_id])
        if "mount" in roles and len(roles) > 1:
            return self._by_name(loop, roles)
        if "copy" in roles and len(roles) > 1:
            self._note(loop)
        return (roles & {"mount"} or roles & {"copy"} or roles or {self._by_number(loop)}).pop()

    def _elsewhere(self, loop: Loop) -> bool:
        """Whether its file is on another file system; each btrfs subvolume has its own number."""
        if loop.backing is None or loop.backing in self._devs:
            return False
        return not loop.backing.startswith("0:") or loop.backing in self._listed

    def _by_number(self, loop: Loop) -> str:
        return "superblock" if loop.backing in self._devs else ""

    def _by_name(self, loop: Loop, roles: set[str]) -> str:
        """Return the role of a file that has the same path on mounts of several namespaces.

        The kernel shortens the path for a reader with another root directory only if the file is
        below that root.
        """
        table = self._spaces.own_table
        mount = table.holding(undeleted(loop.file))
        if mount is not None and self._of.get(mount.mnt_id) == "mount":
            twins = sum(m.point == mount.point for m in table.mounts.values())
            root = root_for(mount.point, undeleted(loop.file))
            name = seen_from(loop.node, root) if twins == 1 and root != "/" else None
            if name == loop.file.removeprefix(root):
                return "mount"
            if name is not None and "copy" not in roles:
                return "superblock"
        self._note(loop)
        return "superblock"

    def _note(self, loop: Loop) -> None:
        self.unclear.append(f"through which mount {loop.node} has {loop.file} open")
