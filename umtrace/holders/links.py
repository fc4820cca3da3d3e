"""Uprobes of BPF links, and the process that has each link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from umtrace.holders.claims import Claim, ListedMount
from umtrace.holders.procfs import Open, fdinfo
from umtrace.kernel.uprobes import linked_files, pinned_links


def linked_uprobes(
    opened: Sequence[Open], mounts: Iterable[ListedMount], lost: list[str]
) -> Iterator[Claim]:
    """Yield the files that uprobes of BPF links hold, each with the owner of the link.

    The owner is a process, or a file of a bpf file system in this namespace.
    """
    owners = {number: each for each in opened if (number := _number(each)) is not None}
    try:
        links = list(linked_files())
    except OSError as error:
        lost.append(f"uprobes of BPF links ({error.strerror})")
        return
    pins = _pins(mounts) if any(number not in owners for number, _ in links) else {}
    for number, path in links:
        owner = owners.get(number)
        yield Claim(
            kind="link-uprobe",
            path=path,
            pid=owner.pid if owner else None,
            fd=owner.fd if owner else None,
            comm=None if owner else pins.get(number, f"BPF link {number}"),
        )


def _pins(mounts: Iterable[ListedMount]) -> dict[int, str]:
    ours = [s.mount for s in mounts if s.mount.fstype == "bpf" and s.namespace is None]
    return {number: path for mount in ours for number, path in pinned_links(mount.point)}


def _number(opened: Open) -> int | None:
    for line in fdinfo(opened).split("\n"):
        name, _, value = line.partition(":")
        if name == "link_id":
            return int(value)
    return None
