"""Who was found holding a mount, and how thorough the look was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import fixed, text
from umtrace.model.checked import built
from umtrace.model.errors import DamagedInputError

#: kinds of hold that are no process's
KERNEL_KINDS = frozenset(
    {
        "swap",
        "loop",
        "nfs-export",
        "uprobe",
        "overlay",
        "submount",
        "mount",
        "device",
        "btrfs",
        "journal",
        "binfmt",
        "image",
        "target",
        "nvmet",
        "usb-gadget",
        "zram",
        "nfs-open",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One hold on a mount or on its superblock; null is not known.

    Attributes
    ----------
    kind : str
        fd, cwd, root, exe, maps, socket (bound to a path): a process; swap, loop, overlay,
        nfs-export, uprobe: the kernel for that file; submount, mount: another mount, below it or of
        the same superblock. docs/ebusy.md and docs/why.md list all.
    of : str
        mount: umount says EBUSY for it; copy: a propagated copy of it, which umount would
        take along; superblock: umount works, the file system stays alive; suspect: it holds
        something, and the kernel does not say whether it is there. Of a block device
        besides: claim: nobody else may claim it; open: it is open, which no claim excludes.
    detail : str
        What is held: a path, a device.
    match : str
        How it was tied to the mount: mount-id, path, path+namespace, dev.
    seen, looks : int
        In how many looks, some ms apart, it was there.
    missing_ns : int or None
        When a look did not find it for the first time, wall clock.
    writes : bool or None
        Whether a file is open, or mapped, for writing: ``mount -o remount,ro`` is refused for it,
        as for one that was deleted.
    note : str or None
        What a reader must know beside ``detail``.
    keeper : str or None
        Of a mount in another namespace: what keeps that namespace, in words.
    enter : tuple of str or None
        The arguments of nsenter(1) that lead to it; None: it is in our own namespace, or there is
        no way in.
    unmount : tuple of str or None
        What umount(8) has to be given there, in this order; empty: no path leads to it; None: not
        known, or not possible.
    tasks : tuple of int or None
        The processes of its namespace, where nothing but their end frees it.
    ref : int or None
        In a scan, of a descriptor, working directory or root: those with different numbers have
        different references to the mount; those with one number share a reference.
    """

    kind: str
    of: str = "mount"
    pid: int | None = None
    tid: int | None = None
    comm: str | None = None
    fd: int | None = None
    detail: str | None = None
    mnt_id: int | None = None
    mntns: int | None = None
    match: str | None = None
    seen: int = 1
    looks: int = 1
    missing_ns: int | None = None
    note: str | None = None
    keeper: str | None = None
    enter: tuple[str, ...] | None = None
    unmount: tuple[str, ...] | None = None
    tasks: tuple[int, ...] | None = None
    writes: bool | None = None
    ref: int | None = None

    @property
    def stays(self) -> bool:
        """Whether it was there at every look."""
        return self.seen == self.looks

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Holder:
        """Build one from ``to_dict``; keys of a later version are left out."""
        return built(cls, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderScan:
    """One look through /proc for the holders of one mount, after one EBUSY.

    Attributes
    ----------
    umount_id : int
        ``id`` of the row that said EBUSY.
    begin_ns, end_ns : int
        Wall clock.
    mounted : bool or None
        Whether a mount was at the path; None where that cannot be told: in another mount
        namespace, or with another root that is not known.
    blind : tuple of str
        What could not be looked at, one phrase each; empty: everything was.
    sampled_ns : tuple of int
        When the samples of the holders with a ``ref`` began and ended, wall clock; empty: not
        known.
    readers : tuple of int
        The processes that looked. Reading a link takes a reference of its own for a moment.
    """

    umount_id: int
    path: str
    begin_ns: int
    end_ns: int
    mounted: bool | None = None
    dev: str | None = None
    fstype: str | None = None
    holders: tuple[Holder, ...] = ()
    blind: tuple[str, ...] = ()
    n_processes: int = 0
    sampled_ns: tuple[int, ...] = ()
    readers: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether a holder would have been seen: where no mount was found, none was looked for."""
        return not self.blind and self.mounted is True


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """An EBUSY whose holders are to be found; ``mount_id`` as in its row, null if not known.

    ``over``: no EBUSY but the umount that succeeded then, to see whether its path is free now.
    ``copy_mntns``: the mount namespace of the propagated copy that the busy check found in use.
    """

    umount_id: int
    path: str
    mntns: int | None = None
    pid: int | None = None
    mount_id: int | None = None
    over: bool = False
    copy_mntns: int | None = None


_TS = pa.timestamp("ns", tz="UTC")
_PLAIN = ("mounted", "dev", "fstype", "blind", "n_processes", "sampled_ns", "readers")


def _field(name: str, arrow_type: pa.DataType, doc: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, arrow_type, nullable=nullable, metadata={b"doc": doc.encode()})


SCAN_SCHEMA: pa.Schema = pa.schema(
    [
        _field(
            "umount_id", pa.int64(), "id of the umount row that the look is for", nullable=False
        ),
        _field("begin", _TS, "when the look began", nullable=False),
        _field("end", _TS, "when it ended", nullable=False),
        _field("path", pa.string(), "the path as given to umount(2)"),
        _field(
            "complete",
            pa.bool_(),
            "false where something could not be looked at, or no mount was found",
        ),
        _field("holders", pa.string(), "JSON list: who was found"),
        _field("details", pa.string(), "JSON object: how thorough the look was"),
    ]
)


def scans_to_arrow(scans: Sequence[HolderScan]) -> pa.RecordBatch:
    """Return scans as rows of ``SCAN_SCHEMA``."""
    columns = [
        _int64([s.umount_id for s in scans], pa.int64()),
        _int64([s.begin_ns for s in scans], _TS),
        _int64([s.end_ns for s in scans], _TS),
        text([s.path for s in scans]),
        fixed(np.array([s.complete for s in scans], np.bool_), pa.bool_()),
        text([json.dumps([h.to_dict() for h in s.holders]) for s in scans]),
        text([json.dumps({name: getattr(s, name) for name in _PLAIN}) for s in scans]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCAN_SCHEMA)


def scans_from_arrow(rows: pa.RecordBatch) -> list[HolderScan]:
    """Return the scans that ``scans_to_arrow`` was given.

    Raises DamagedInputError where a JSON column holds something else.
    """
    begin, end = (rows.column(n).cast(pa.int64()).to_pylist() for n in ("begin", "end"))
    names = ("umount_id", "path", "holders", "details")
    values = zip(begin, end, *(rows.column(n).to_pylist() for n in names), strict=True)
    try:
        return [_scan(*row) for row in values]
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise DamagedInputError("holders table: JSON that umtrace does not write") from None


def _scan(
    begin: int, end: int, number: int, path: str | None, holders: str | None, details: str | None
) -> HolderScan:
    found = _details(details or "{}")
    return HolderScan(
        umount_id=number,
        path=path or "",
        begin_ns=begin,
        end_ns=end,
        mounted=found.plain.mounted,
        dev=found.plain.dev,
        fstype=found.plain.fstype,
        n_processes=found.plain.n_processes,
        sampled_ns=found.plain.sampled_ns,
        readers=found.plain.readers,
        holders=_holders(holders or "[]"),
        blind=found.blind,
    )


@dataclass(frozen=True, slots=True)
class _Plain:
    mounted: bool | None = None
    dev: str | None = None
    fstype: str | None = None
    n_processes: int = 0
    sampled_ns: tuple[int, ...] = ()
    readers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Details:
    plain: _Plain
    blind: tuple[str, ...] = ()


def _details(text: str) -> _Details:
    values = json.loads(text)
    plain, blind = built(_Plain, values), values.get("blind", [])
    if not isinstance(blind, list) or not all(isinstance(phrase, str) for phrase in blind):
        raise ValueError("blind is no list of texts")
    return _Details(plain, tuple(blind))


def _holders(text: str) -> tuple[Holder, ...]:
    return tuple(map(Holder.from_dict, json.loads(text)))


#: what reads the cells of each JSON column of the table
SCAN_JSON: dict[str, Callable[[str], object]] = {"holders": _holders, "details": _details}


def _int64(values: Sequence[int], arrow_type: pa.DataType) -> pa.Array:
    return fixed(np.array(values, np.int64), arrow_type)
