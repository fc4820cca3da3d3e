"""What ends each kind of hold: the one place for it. Every command here is tried by a test."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable
from typing import NamedTuple

from umtrace.holders.loops import AUTOCLEAR
from umtrace.model.holders import Holder


class Remedy(NamedTuple):
    """A command for a root shell, and what is to be said beside it; either may be empty."""

    command: str = ""
    text: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.text}: {self.command}" if self.text and self.command else "".join(self)


def remedy(holder: Holder) -> Remedy:
    """Return what would end a hold; never empty."""
    if not holder.stays:
        return Remedy(text="nothing; retry")
    if (by_kind := _BY_KIND.get(holder.kind)) is not None:
        return by_kind(holder)
    return _task(holder, "let {who} close it, or end it")


def quoted(path: str | None) -> str:
    """Return a path as a shell reads it."""
    return shlex.quote(path or "?")


def entering(holder: Holder) -> str:
    """Return what runs a command among the mounts of the process that a holder names."""
    return f"nsenter -t {holder.pid} -m " if holder.pid else ""


def _task(holder: Holder, text: str) -> Remedy:
    who = holder.pid if holder.pid is not None else holder.comm or "its owner"
    return Remedy(f"kill {holder.pid}" if holder.pid else "", text.format(who=who))


def _umount(holder: Holder) -> Remedy:
    if holder.detail == "/":  # refused to everybody who has it as the root directory
        own = Remedy(text="it is the root directory here, which umount refuses")
        return own if holder.keeper is None else _keeper(holder)
    if holder.unmount:
        words = [*_nsenter(holder), "umount", *map(quoted, holder.unmount)]
        return Remedy(" ".join(words))
    if holder.keeper is not None:
        return _keeper(holder)
    if holder.unmount is not None:
        return Remedy(text=f"no path leads to {holder.detail}: unmount what hides it")
    return Remedy(f"{entering(holder)}umount {quoted(holder.detail)}")


def _nsenter(holder: Holder) -> list[str]:
    return ["nsenter", *map(quoted, holder.enter)] if holder.enter else []


def _keeper(holder: Holder) -> Remedy:
    """End what keeps the namespace: a mount in it cannot be unmounted there."""
    if holder.pid is None:
        return Remedy(text=f"end mount namespace {holder.mntns}, kept by {holder.keeper}")
    return Remedy(
        f"kill {' '.join(map(str, holder.tasks or [holder.pid]))}",
        f"end {holder.keeper}; its mounts cannot be unmounted from here",
    )


def _swap(holder: Holder) -> Remedy:
    return Remedy(f"swapoff {quoted(holder.detail)}")


def _loop(holder: Holder) -> Remedy:
    if holder.note == AUTOCLEAR:  # detached already
        return Remedy(text=f"end the users of {holder.comm}")
    return Remedy(f"losetup -d {quoted(holder.comm)}", "after its users have ended")


def _device(holder: Holder) -> Remedy:
    path = holder.detail or "?"
    if path.startswith("/dev/mapper/"):
        return Remedy(f"dmsetup remove {quoted(path)}")
    if path.startswith("/dev/md"):
        return Remedy(f"mdadm --stop {quoted(path)}")
    return Remedy(text=f"remove {path}")


def _btrfs(_holder: Holder) -> Remedy:
    return Remedy(text="it is not mounted; end the tasks listed that have its files open")


def _journal(holder: Holder) -> Remedy:
    return Remedy(text=f"end the ext4 file system on {holder.detail}")


def _export(holder: Holder) -> Remedy:
    return Remedy(f"exportfs -u {quoted(f'{holder.comm}:{holder.detail}')}; exportfs -f")


def _uprobe(holder: Holder) -> Remedy:
    return Remedy(f"echo {quoted(f'-:{holder.comm}')} >> /sys/kernel/tracing/uprobe_events")


def _binfmt(holder: Holder) -> Remedy:
    entry = holder.comm or "?"
    command = f"echo -1 > {quoted(entry)}"
    if holder.pid is not None:
        return Remedy(f"{entering(holder)}sh -c {quoted(command)}")
    if holder.note is None:
        return Remedy(command)
    return Remedy(f"mount -t binfmt_misc none {quoted(posixpath.dirname(entry))} && {command}")


def _walk(holder: Holder) -> Remedy:
    connection = (holder.note or "").partition("FUSE connection ")[2]
    if not connection:
        return _task(holder, "end {who}; in state D it ends when its request is answered")
    folder = "/sys/fs/fuse/connections"
    mounted = f"mountpoint -q {folder} || mount -t fusectl none {folder}"
    return Remedy(f"{mounted}; echo 1 > {folder}/{connection}/abort", "end it with its server")


def _link(holder: Holder) -> Remedy:
    if holder.pid is not None:
        return _task(holder, "end {who}, which has a uprobe there")
    if (holder.comm or "").startswith("/"):
        return Remedy(f"rm {quoted(holder.comm)}", "remove the pin of the BPF link of a uprobe")
    return Remedy(text=f"detach {holder.comm}: no visible process or file has it")


def _target(holder: Holder) -> Remedy:
    return Remedy(f"rmdir {quoted(holder.comm)}", "remove the LUNs that export it, then")


def _nfs_open(holder: Holder) -> Remedy:
    return Remedy(
        f"echo expire > {quoted(holder.comm)}/ctl", "close the open files of that NFS client"
    )


_BY_KIND: dict[str, Callable[[Holder], Remedy]] = {
    "submount": _umount,
    "mount": _umount,
    "overlay": _umount,
    "swap": _swap,
    "loop": _loop,
    "device": _device,
    "btrfs": _btrfs,
    "journal": _journal,
    "nfs-export": _export,
    "uprobe": _uprobe,
    "binfmt": _binfmt,
    "image": _umount,
    "target": _target,
    "zram": lambda h: Remedy(f"zramctl -r {quoted(h.comm)}", "after its users have ended"),
    "nvmet": lambda h: Remedy(f"echo 0 > {quoted(h.comm)}/enable"),
    "usb-gadget": lambda h: Remedy(f"echo > {quoted(h.comm)}/forced_eject"),
    "nfs-open": _nfs_open,
    "walk": _walk,
    "link-uprobe": _link,
    "perf-uprobe": lambda h: _task(h, "end {who}, which has a uprobe there"),
    "io-uring": lambda h: _task(h, "let {who} unregister it from its ring, or end it"),
    "in-flight": lambda h: _task(h, "let {who} receive them, or end it"),
    "fanotify": lambda h: _task(h, "let {who} read its events, or end it"),
    "fscontext": lambda h: _task(h, "let {who} close it, or end it"),
    "io-uring-exit": lambda _: Remedy(text="retry: it ends by itself"),
    "cwd": lambda h: _task(h, "let {who} change its directory, or end it"),
    "root": lambda h: _task(h, "end {who}, which has its root directory there"),
    "exe": lambda h: _task(h, "end {who}, which runs a program from there"),
    "maps": lambda h: _task(h, "end {who}, which has a file from there mapped"),
}
