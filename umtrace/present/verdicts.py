"""What `umtrace why` says first: the verdict, and where the two sources disagree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umtrace.holders.answer import Answer

_OF_A_MOUNT = {
    "free": "Free: the kernel says so; umount would succeed.",
    "nobody-seen": "Nobody was seen to hold it, which does not make it free.",
    "transient": "Transient: somebody passed by; a retry would do.",
    "held": "Held: umount says EBUSY until these have gone.",
    "superblock": "Nobody was seen to hold it. Its file system stays in use after umount.",
    "unknown": "Unknown: nobody was seen to hold it, but not all could be looked at.",
}
_OF_A_DEVICE = {
    "nobody-seen": "Nobody was seen to claim it or to have it open.",
    "claimed": "Claimed: mkfs and mount say EBUSY until this has ended.",
    "superblock": "In use by a file system: mkfs says EBUSY until it is unmounted.",
    "open": "Open, and not seen claimed.",
    "unknown": "Unknown: nobody was seen, but not all could be looked at.",
}
_OF_A_PATH = {
    "held": "Nothing to umount here. In use, here or below it:",
    "superblock": "Nothing to umount here. Mounts use it, in other mount namespaces or as a layer.",
    "nobody-seen": "Nothing to umount here. Nobody was seen to use it or what is below it.",
    "transient": "Nothing to umount here. Somebody passed by.",
    "unknown": "Nothing to umount here. Who uses it is unknown: not all could be looked at.",
}
_BLOCKED = "While it is open these fail or wait: losetup -d, dmsetup remove, rereading its"


def verdict(answer: Answer) -> Iterator[str]:
    """Yield the verdict."""
    said = answer.kernel.said if answer.kernel is not None else ""
    texts = {"mount": {}, "device": _OF_A_DEVICE, "path": _OF_A_PATH}[answer.subject]
    busy = [h for h in answer.holders if h.of in {"mount", "copy", "claim"}]
    if answer.state == "held" and not busy:
        yield "Held, says the kernel. By whom was not seen."
        if any(h.of == "suspect" for h in answer.holders):
            yield "It may be one of those below."
    elif answer.state == "claimed" and not busy:
        yield "Claimed, says the kernel. By whom was not seen."
        if any(h.of == "open" for h in answer.holders):
            yield "One of those who have it open may be it."
    elif answer.state == "superblock" and said == "free":
        yield "Free to umount, says the kernel. Its file system stays in use."
    elif answer.state == "nobody-seen" and answer.subject == "device" and said == "free":
        yield "Not claimed, says the kernel. Nobody was seen to have it open."
    elif answer.state == "open" and said == "free":
        yield "Open, and not claimed, says the kernel."
    else:
        yield texts.get(answer.state) or _OF_A_MOUNT[answer.state]
    if answer.state == "open":
        yield _BLOCKED
        yield "partitions; mount as well, where the kernel forbids writers of mounted devices."
    if said == "free" and answer.state in {"held", "claimed"}:
        yield from _disagree(answer)


def _disagree(answer: Answer) -> Iterator[str]:
    if all(h.of == "copy" for h in answer.holders if h.of in {"mount", "copy"}):
        yield "The kernel was asked about the mount and those copies that it could be asked about."
    else:
        yield "The kernel says free, later: those below may have gone since. Ask again."
