"""For what a task inside an umount waits: the server, the device, how much is dirty."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from umtrace.holders import blocks
from umtrace.holders.mounts import Mount, MountTable, parse
from umtrace.model.devices import device_number
from umtrace.stuck import grace, nfs, stacks
from umtrace.stuck.answer import Cause
from umtrace.stuck.sample import Sample, samples, text_of

_CONNECTIONS = "/sys/fs/fuse/connections"
_FILE_SYSTEMS = ("ext4", "xfs", "f2fs")
_OF_DEVICES = frozenset({"writeback", "journal", "device"})  #: waits
_CONNECTION = re.compile(r"^fuse_connection:\s*(\d+)$", re.MULTILINE)
_KB = re.compile(r"^(Dirty|Writeback|BdiReclaimable|BdiWriteback):\s*(\d+) kB$", re.MULTILINE)
_MOST = 3
_AGAIN_S = 1.0  #: for a second sample of the tasks that could run


@dataclass
class Surroundings:
    """What is read once, when something hangs: the own mount table, the servers, the devices.

    ``others`` are all tasks that may hang. Without ``mounts`` the mount table is not read: its
    reader would wait for the namespace lock as well.
    """

    others: Sequence[Sample]
    mounts: bool = True
    table: MountTable = field(init=False)
    _servers: dict[int | None, dict[int, str]] | None = None

    def __post_init__(self) -> None:
        text = text_of("/proc/self/mountinfo") if self.mounts else ""
        self.table = MountTable(parse(text))

    @cached_property
    def grace_period(self) -> Cause:
        """What delays the grace period: a second sample of what could run shows it."""
        pids = sorted({task.pid for task in self.others if task.state == "R"})
        again = samples(pids, [], time.monotonic() + _AGAIN_S)
        return grace.delayed_by(self.others, {sample.tid: sample for sample in again})

    def mount_of(self, path: str | None) -> Mount | None:
        """Return the mount in which a path lies, as far as this mount namespace shows."""
        return self.table.holding(path) if path else None

    def devices(self, fstype: str | None) -> list[str]:
        """Return the block devices of file systems that are in no mount here, so may be ending."""
        mounted = {mount.dev for mount in self.table.mounts.values()}
        found = []
        for name in _FILE_SYSTEMS if fstype not in _FILE_SYSTEMS else (fstype,):
            with suppress(OSError):
                for entry in sorted(os.listdir(f"/sys/fs/{name}")):  # noqa: PTH208
                    dev = blocks.dev_of(entry)
                    if dev is not None and dev not in mounted:
                        found.append(dev)
        return found if mounted else []

    def likely(self, wait: str | None, devs: list[str]) -> list[str]:
        """Return those of the devices that stand still, if the wait is for one; else all."""
        if wait not in _OF_DEVICES:
            return devs
        return [dev for dev in devs if self._frozen_below(dev) is not None] or devs

    def cause(self, sample: Sample, path: str | None, devs: Sequence[str]) -> Cause | None:
        """Return for what a task waits; None if its stack does not show it."""
        wait = sample.stand.wait if sample.stand else None
        if wait == "fuse":
            return self._fuse(sample, path)
        if wait in _OF_DEVICES:
            return self._device(wait, devs)
        if wait == "grace-period":
            return self.grace_period
        if wait in {"nfs", "cifs", "ceph", "9p"}:
            return self._network(wait, sample, path)
        text = {
            "automount": "the automount daemon",
            "frozen": "a frozen file system, until fsfreeze -u",
            "superblock-lock": "the lock of the superblock",
            "namespace-lock": "the namespace lock",
        }.get(wait or "")
        return Cause(text=text) if text else None

    def _fuse(self, sample: Sample, path: str | None) -> Cause:
        numbers = self._connections(sample, path)
        if len(numbers) != 1:
            if not numbers:  # without fusectl nothing lists them
                show = f"mount -t fusectl none {_CONNECTIONS}"
                return Cause(text=f"a FUSE server; after {show}, run this again")
            some = ", ".join(map(str, numbers[:_MOST]))
            return Cause(text=f"a FUSE server: one of connections {some} in {_CONNECTIONS}")
        number = numbers[0]
        waiting = text_of(f"{_CONNECTIONS}/{number}/waiting").strip()
        servers = self._serving(number)
        who = " and ".join(f"{comm} (pid {pid})" for pid, comm in servers.items())
        text = f"the FUSE server of connection {number}"
        text += f", {who}," if who else ", of which no thread reads requests,"
        text += " which does not answer"
        if waiting.isdigit():
            text += f" ({waiting} waiting)"
        abort = f"echo 1 > {_CONNECTIONS}/{number}/abort"
        there = os.path.isdir(f"{_CONNECTIONS}/{number}")  # noqa: PTH112 - of fusectl
        return Cause(
            text=text,
            command=abort if there else f"mount -t fusectl none {_CONNECTIONS}; {abort}",
            remedy="its file system then fails with ENOTCONN",
            pids=tuple(servers),
        )

    def _connections(self, sample: Sample, path: str | None) -> list[int]:
        """Return the FUSE connections that a task may wait for."""
        mount = self.mount_of(path)
        shuts_down = sample.stand is not None and sample.stand.phase == stacks.SHUTDOWN
        if mount is not None and mount.fstype.startswith("fuse") and not shuts_down:
            # The number of a FUSE connection is the device of its file system.
            return [device_number(mount.dev)]
        known: set[int] = {n for n in self.servers if n is not None}
        with suppress(OSError):
            known |= {int(name) for name in os.listdir(_CONNECTIONS) if name.isdigit()}  # noqa: PTH208
        texts = {n: text_of(f"{_CONNECTIONS}/{n}/waiting").strip() for n in known}
        found = sorted(n for n, text in texts.items() if text != "0")
        ours = {device_number(mount.dev) for mount in self.table.mounts.values()}
        return [n for n in found if n not in ours] or found if shuts_down else found

    @property
    def servers(self) -> dict[int | None, dict[int, str]]:
        """The processes that wait for requests, by FUSE connection; None: which is not known."""
        if self._servers is None:
            self._servers = {}
            for task in self.others:
                if stacks.SERVER in task.names:
                    self._servers.setdefault(_served(task), {})[task.pid] = task.comm
        return self._servers

    def _serving(self, number: int) -> dict[int, str]:
        unknown = self.servers.get(None, {})
        return self.servers.get(number) or (unknown if len(unknown) == 1 else {})

    def _network(self, wait: str, sample: Sample, path: str | None) -> Cause:
        shuts_down = sample.stand is not None and sample.stand.phase == stacks.SHUTDOWN
        mount = None if shuts_down else self.mount_of(path)
        if wait == "nfs":
            return nfs.cause(mount)
        if mount is not None and mount.fstype.startswith(wait):
            return Cause(text=f"the {wait.upper()} server of {mount.source}")
        return Cause(text=f"the {wait.upper()} server")

    def _device(self, wait: str, devs: Sequence[str]) -> Cause:
        for dev in devs:
            if (cause := self._frozen_below(dev)) is not None:
                return cause
        what = {"writeback": "data to be written", "journal": "the journal", "device": "the device"}
        names = ", ".join(map(blocks.node, devs[:_MOST]))
        return Cause(text=f"{what[wait]}{' on ' + names if names else ''} ({self._dirty(devs)})")

    def _frozen_below(self, dev: str) -> Cause | None:
        """Return the cause if the device is a loop device with a file on a frozen file system."""
        name = blocks.name_of(dev) or ""
        file = text_of(f"/sys/block/{name}/loop/backing_file").removesuffix("\n")
        works = re.compile(rf"\b{re.escape(name)}\b")
        stopped = [s for s in self.others if works.search(s.comm) and _is_frozen(s)]
        if not file or not stopped:
            return None
        mount = self.table.holding(file)
        where = mount.point if mount is not None else os.path.dirname(file)  # noqa: PTH120
        text = f"/dev/{name}: its file {file} is on a frozen file system"
        return Cause(text=text, command=f"fsfreeze -u {shlex.quote(where)}")

    def _dirty(self, devs: Sequence[str]) -> str:
        """Return how much is to be written: of the one device, or else of the host."""
        texts = [
            text_of(f"/sys/kernel/debug/bdi/{dev}/stats") for dev in devs[:1] if len(devs) == 1
        ]
        for text, of in [*((text, "on it") for text in texts), (_meminfo(), "on this host")]:
            kb = {name.replace("Bdi", ""): int(size) for name, size in _KB.findall(text)}
            dirty = kb.get("Reclaimable", kb.get("Dirty"))
            if dirty is not None and "Writeback" in kb:
                return f"{_size(dirty)} dirty, {_size(kb['Writeback'])} being written {of}"
        return "how much is dirty is not known"


def _is_frozen(sample: Sample) -> bool:
    return any(
        name.startswith(("percpu_rwsem_wait", "__percpu_down_read")) for name in sample.names
    )


def _meminfo() -> str:
    with suppress(OSError):
        return Path("/proc/meminfo").read_text()
    return ""


def _size(kb: int) -> str:
    return f"{kb} kB" if kb < 10_000 else f"{kb // 1024} MB"  # noqa: PLR2004  five digits


def _served(task: Sample) -> int | None:
    """Return the connection that a server reads: its stack shows that this is /dev/fuse."""
    if len(task.words) > 1:
        text = text_of(f"/proc/{task.pid}/task/{task.tid}/fdinfo/{task.words[1] & 0xFFFFFFFF}")
        if found := _CONNECTION.search(text):
            return int(found[1])
    return None
