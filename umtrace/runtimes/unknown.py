"""What stays unknown of owners on this host, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from umtrace.owners.cgroup_paths import NOWHERE, place_of
from umtrace.runtimes.files import HostFiles
from umtrace.runtimes.names import Names
from umtrace.runtimes.tree import cgroups_below

#: inode number of the first cgroup namespace (PROC_CGROUP_INIT_INO)
_FIRST_CGROUPNS = 0xEFFFFFFB
_NO_PATTERN_NEEDED = (".slice",)


def unknown_paths(files: HostFiles) -> list[str]:
    """Return the paths of cgroups that are of no unit, no runtime, and in no runtime's file.

    A cgroup with others in it is left out: those are listed, if nobody knows them.
    """
    names = Names(files)
    paths = [path for _, path in cgroups_below(files.root)]
    around = {path.rpartition("/")[0] for path in paths}
    return sorted(
        path
        for path in paths
        if path not in around
        and place_of(path) == NOWHERE
        and not path.endswith(_NO_PATTERN_NEEDED)
        and names.of_cgroup(path) is None
    )


def missing(files: HostFiles) -> Iterator[str]:
    """Yield a sentence for each thing without which owners are not found."""
    try:
        Path("/proc/1/ns/mnt").stat()
    except OSError as error:
        yield (
            f"the host's mount namespace is not known (/proc/1/ns/mnt: {error.strerror}): "
            "umtrace needs CAP_SYS_PTRACE, and in a container the host's processes (hostPID)"
        )
    own = False
    with suppress(OSError):
        own = Path("/proc/self/ns/cgroup").stat().st_ino != _FIRST_CGROUPNS
    if own and files.root == "/":
        yield (
            "umtrace is in a cgroup namespace of its own and cannot open /proc/1/root: the cgroups "
            "that exist at the start have no path"
        )
    if next(iter(cgroups_below(files.root)), None) is None:
        yield "there is no cgroup v2 file system with a cgroup in it"
