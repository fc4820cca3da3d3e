"""Uprobes of BPF links, and which process has each link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from umtrace.holders.claims import Claim
from umtrace.holders.procfs import Open, fdinfo
from umtrace.kernel.uprobes import linked_files

#: the kernel's name for a link's descriptor; each kind has the same
LINK_PATHS = frozenset({"anon_inode:bpf_link", "anon_inode:[bpf_link]"})


def linked_uprobes(opened: Sequence[Open], lost: list[str]) -> Iterator[Claim]:
    """Yield the files that uprobes of BPF links keep, each with who has the link, if a process."""
    owners = {number: each for each in opened if (number := _number(each)) is not None}
    try:
        for number, path in linked_files():
            owner = owners.get(number)
            yield Claim(
                kind="link-uprobe",
                path=path,
                pid=owner.pid if owner else None,
                fd=owner.fd if owner else None,
                comm=None if owner else f"BPF link {number}",
            )
    except OSError as error:
        lost.append(f"uprobes of BPF links ({error.strerror})")


def _number(opened: Open) -> int | None:
    for line in fdinfo(opened).split("\n"):
        name, _, value = line.partition(":")
        if name == "link_id":
            return int(value)
    return None
