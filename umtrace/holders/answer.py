"""The answer of `umtrace why`: what was seen, what the kernel answered, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from umtrace.holders.mounts import Mount
from umtrace.holders.sweep import MOST_NAMED
from umtrace.model.holders import Holder

#: Holders of a mount that are in no list that a program can read. Remove a line when `why` can see
#: that kind. Add only a kind that was made and not seen.
UNSEEN_OF_A_MOUNT: tuple[str, ...] = (
    "files that a kernel module opened itself, such as ksmbd",
    "files that a FUSE server passes through",
    "requests in flight in an io_uring, or of AIO",
    "path walks that do not wait",
    "EROFS images that were mounted by a relative path, or unmounted with MNT_DETACH",
)
UNSEEN_OF_A_DEVICE: tuple[str, ...] = (
    "claims of kernel modules that name no owner in sysfs",
    "mounts below a copy that open_tree(2) made",
    "overlays that are no longer mounted",
)


@dataclass(frozen=True, slots=True)
class KernelAnswer:
    """The answer of the kernel to one question; ``said`` is free, busy or refused.

    ``how`` names the question. ``why`` is the reason of a refusal, or a remark on the answer.
    """

    said: str
    how: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known about one path.

    ``state`` is one of

    ================ ============================================================================
    free             of a mount: the kernel was asked and reported free
    nobody-seen      no holder was seen; the kernel was not asked, or gave no answer
    transient        a holder was missing from one sample, such as a path walk
    held             of a mount: a holder was seen, or the kernel reports busy
    claimed          of a device: a claim was seen that is no mount, or the kernel reports one
    superblock       of a mount: no holder was seen, but its file system is in use elsewhere;
                     of a device: a file system on it is in use
    open             of a device: it is open, and no claim was seen
    unknown          no certain holder was seen; there is a suspect, or too much was not read
    ================ ============================================================================

    ``file`` is that of a loop device, empty if it has none; None for anything else.
    ``unread`` has the processes that could not be read, ``unseen`` the kinds of holders that are in
    no list.
    """

    path: str
    dev: str
    state: str
    mount: Mount | None = None  #: None for a device
    file: str | None = None
    holders: tuple[Holder, ...] = ()
    blind: tuple[str, ...] = ()
    unread: Mapping[int, str] = field(default_factory=dict)  #: pid -> name
    n_namespaces: int = 0
    kernel: KernelAnswer | None = None  #: None if it was not asked
    unseen: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """``mount`` for a mount point, ``device``, or ``path`` for any other path."""
        if self.mount is None:
            return "device"
        return "mount" if self.mount.point == self.path else "path"


def verdict_of_a_mount(
    holders: Iterable[Holder],
    unread: Mapping[int, str],
    lost: Iterable[str],
    *,
    n_read: int,
    kernel: KernelAnswer | None = None,
) -> str:
    """Return the state of a mount; free needs the answer of the kernel."""
    found = list(holders)
    busy = [holder for holder in found if holder.of in {"mount", "copy"}]
    suspects = any(holder.of == "suspect" for holder in found)
    alive = any(holder.of == "superblock" and holder.stays for holder in found)
    said = kernel.said if kernel is not None else ""
    if any(holder.stays for holder in busy):
        return "held"
    if said == "free":
        return "superblock" if alive else "free"
    if said == "busy":
        return "transient" if busy else "held"
    if suspects or _too_little(unread, lost, n_read):
        return "unknown"
    if busy:
        return "transient"
    return "superblock" if alive else "nobody-seen"


def verdict_of_a_device(
    holders: Iterable[Holder],
    unread: Mapping[int, str],
    lost: Iterable[str],
    *,
    n_read: int,
    kernel: KernelAnswer | None = None,
) -> str:
    """Return the state of a block device; only the kernel knows every claim."""
    found = [holder for holder in holders if holder.stays]
    said = kernel.said if kernel is not None else ""
    if any(holder.of == "claim" for holder in found):
        return "claimed"
    if any(holder.of == "superblock" for holder in found):
        return "superblock"
    if said == "busy":
        return "claimed"
    if any(holder.of == "open" for holder in found):
        return "open"
    if _too_little(unread, lost, n_read):
        return "unknown"
    return "nobody-seen"  # a device that is not claimed may still be open


def verdict_of_a_path(
    holders: Iterable[Holder],
    unread: Mapping[int, str],
    lost: Iterable[str],
    *,
    n_read: int,
    kernel: KernelAnswer | None = None,
) -> str:
    """Return the state of a path that is no mount point; a mount there elsewhere is an answer."""
    found = list(holders)
    state = verdict_of_a_mount(found, unread, lost, n_read=n_read, kernel=kernel)
    elsewhere = any(holder.of == "superblock" and holder.kind == "mount" for holder in found)
    return "superblock" if state == "unknown" and elsewhere else state


def _too_little(unread: Mapping[int, str], lost: Iterable[str], n_read: int) -> bool:
    return any(lost) or len(unread) > MOST_NAMED or (bool(unread) and len(unread) >= n_read)
