"""What `umtrace why` answers: what was seen, what the kernel says, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from umtrace.holders.mounts import Mount
from umtrace.holders.sweep import MOST_NAMED
from umtrace.model.holders import Holder

#: What may hold a mount and is in no list that a program can read. What becomes visible is taken
#: out here, and only what was tried goes in.
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
    """What the kernel said when it was asked once; ``said`` is free, busy or refused.

    ``how`` names the question. ``why`` is the reason of a refusal, or what the word leaves open.
    """

    said: str
    how: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found out about one path.

    ``state`` is one of

    ================ ============================================================================
    free             of a mount: the kernel said so, when asked
    nobody-seen      nobody was seen; the kernel was not asked, or could not answer
    transient        somebody passed by
    held             of a mount: somebody was seen holding it, or the kernel says busy
    claimed          of a device: somebody claims it who is no mount of it, or the kernel says so
    superblock       of a mount: nobody was seen holding it, but its file system is in use
                     elsewhere; of a device: a file system on it
    open             of a device: not seen claimed, but open
    unknown          who may hold it was seen, or nobody, and too many could not be looked at
    ================ ============================================================================

    ``unread`` are the processes that could not be looked at, ``unseen`` the kinds of holders that
    are in no list.
    """

    path: str
    dev: str
    state: str
    mount: Mount | None = None  #: None for a device
    holders: tuple[Holder, ...] = ()
    blind: tuple[str, ...] = ()
    unread: Mapping[int, str] = field(default_factory=dict)  #: pid -> name
    n_namespaces: int = 0
    kernel: KernelAnswer | None = None  #: None: it was not asked
    unseen: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What the path is: a mount (point), a device, or a path that is neither."""
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
    """Return the state of a mount: free on the kernel's word alone."""
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
    """Return the state of a block device: a claim is the kernel's to tell, an open is seen."""
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
    return "nobody-seen"  # not claimed is not free: who has it open was only not seen


def _too_little(unread: Mapping[int, str], lost: Iterable[str], n_read: int) -> bool:
    return any(lost) or len(unread) > MOST_NAMED or (bool(unread) and len(unread) >= n_read)
