"""Which NFS server does not answer, and what ends the wait for it."""

from __future__ import annotations

import os

from umtrace.holders.mounts import Mount
from umtrace.stuck.answer import Cause
from umtrace.stuck.sample import text_of

_CLIENTS = "/sys/fs/nfs"  #: a folder for each superblock since Linux 6.5, with a file `shutdown`
_MOST = 3


def cause(mount: Mount | None) -> Cause:
    """Return for which NFS server a task waits in a walk; without a mount, those there are."""
    if mount is None or not mount.fstype.startswith("nfs"):
        return Cause(text=f"the NFS server{_servers()}")
    text, shutdown = f"the NFS server of {mount.source}", f"{_CLIENTS}/{mount.dev}/shutdown"
    if os.path.exists(shutdown):  # noqa: PTH110 - of sysfs
        return Cause(
            text=text,
            command=f"echo 1 > {shutdown}",
            remedy="its file system then fails with EIO, until it is mounted anew",
        )
    return Cause(text=text)


def _servers() -> str:
    lines = text_of("/proc/fs/nfsfs/servers").splitlines()[1:]
    names = dict.fromkeys(line.split()[-1] for line in lines if line.split())
    return f": {', '.join(list(names)[:_MOST])}" if names else ""
