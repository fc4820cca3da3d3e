"""The first lines of `umtrace why`: the verdict, and whether the kernel disagrees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from umtrace.present.terminal import WIDTH, clean
from umtrace.present.wrapping import wrap

if TYPE_CHECKING:
    from umtrace.holders.answer import Answer

_OF_A_MOUNT = {
    "free": "Free: the kernel confirms that umount would succeed.",
    "nobody-seen": "No holder was seen. That does not prove that it is free.",
    "transient": "Transient: a path walk or a short open. Retry.",
    "held": "Held: umount fails with EBUSY until these holders are gone.",
    "superblock": "No holder was seen. Its file system stays in use after umount.",
    "unknown": "Unknown: no holder was seen, but not everything could be read.",
}
_OF_A_DEVICE = {
    "nobody-seen": "No claim and no open descriptor was seen.",
    "claimed": "Claimed: mkfs and mount fail with EBUSY until this ends.",
    "superblock": "In use by a file system: mkfs fails with EBUSY until it is unmounted.",
    "open": "Open; no claim was seen.",
    "unknown": "Unknown: no user was seen, but not everything could be read.",
}
_OF_A_PATH = {
    "held": "Not a mount point. In use, here or below:",
    "superblock": "Not a mount point. Mounts in other namespaces, or overlay layers, use it.",
    "nobody-seen": "Not a mount point. No user of it, or of what is below, was seen.",
    "transient": "Not a mount point. A path walk or a short open used it.",
    "unknown": "Not a mount point. Unknown: not everything could be read.",
}
#: what there is to say of the root directory: no command that ends a hold of it would do good
ROOT = "the root directory is in use as long as the system runs"
_BLOCKED = "While it is open these fail or wait: losetup -d, dmsetup remove, rereading its"


def verdict(answer: Answer) -> Iterator[str]:
    """Yield the verdict."""
    if answer.subject == "mount" and answer.path == "/":
        yield f"{ROOT[0].upper()}{ROOT[1:]}."
    elif elsewhere := _elsewhere(answer):
        yield from wrap(clean(elsewhere), WIDTH)
    else:
        yield from _of_a_state(answer)


def _of_a_state(answer: Answer) -> Iterator[str]:
    said = answer.kernel.said if answer.kernel is not None else ""
    texts = {"mount": {}, "device": _OF_A_DEVICE, "path": _OF_A_PATH}[answer.subject]
    busy = [h for h in answer.holders if h.of in {"mount", "copy", "claim"}]
    if answer.state == "held" and not busy:
        yield "Held: the kernel reports busy. The holder was not seen."
        if any(h.of == "suspect" for h in answer.holders):
            yield "It may be one of those below."
    elif answer.state == "claimed" and not busy:
        yield "Claimed: the kernel reports busy. The owner of the claim was not seen."
        if any(h.of == "open" for h in answer.holders):
            yield "It may be one of those that have it open."
    elif answer.state == "superblock" and said == "free":
        yield "Free: the kernel confirms that umount would succeed."
        yield "Its file system stays in use."
    elif answer.state == "nobody-seen" and answer.subject == "device" and said == "free":
        yield "Not claimed: the kernel confirms it. No open descriptor was seen."
    elif answer.state == "open" and said == "free":
        yield "Open; not claimed: the kernel confirms it."
    else:
        yield texts.get(answer.state) or _OF_A_MOUNT[answer.state]
    if answer.state == "open":
        yield _BLOCKED
        yield "partitions; mount as well, where the kernel forbids writers of mounted devices."
    if said == "free" and answer.state in {"held", "claimed"}:
        yield from _disagree(answer)


def _elsewhere(answer: Answer) -> str:
    """Return where a path is still a mount point, if that is the answer."""
    if answer.subject != "path" or answer.state != "superblock":
        return ""
    mounts = [
        h for h in answer.holders if h.kind == "mount" and h.keeper and h.detail == answer.path
    ]
    if not mounts:
        return ""
    first, more = mounts[0], len({h.mntns for h in mounts}) - 1
    others = f", and in {more} more" if more else ""
    where = f"mount namespace {first.mntns}, kept by {first.keeper}"
    return f"Not mounted here; still mounted in {where}{others}."


def _disagree(answer: Answer) -> Iterator[str]:
    if all(h.of == "copy" for h in answer.holders if h.of in {"mount", "copy"}):
        yield "The kernel was asked about the mount and the copies that can be reached only."
    else:
        yield "The kernel reported free later: these holders may be gone. Ask again."
