"""What `umtrace why` answers: what was seen, what the kernel says, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from umtrace.holders.mounts import Mount
from umtrace.holders.sweep import MOST_NAMED
from umtrace.records.holders import Holder

#: What may hold a mount and is in no list that a program can read. What becomes visible is taken
#: out here, and only what was tried goes in.
UNSEEN_OF_A_MOUNT: tuple[str, ...] = (
    "files of a task that is exiting",
    "files that a kernel module opened itself",
    "path walks of other tasks",
)
UNSEEN_OF_A_DEVICE: tuple[str, ...] = ("claims of kernel modules that name nobody in sysfs",)


@dataclass(frozen=True, slots=True)
class KernelWord:
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
    free             the kernel said so, when asked
    nobody-seen      nobody was seen; the kernel was not asked, or could not answer
    transient        somebody passed by
    held             somebody was seen holding it, or the kernel says busy
    superblock       of a mount: nobody was seen holding it, but its file system stays alive
    open             of a device: not claimed, but open
    unknown          nobody was seen, and too many could not be looked at
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
    kernel: KernelWord | None = None  #: None: it was not asked
    unseen: tuple[str, ...] = ()


def seen(
    holders: Iterable[Holder], unread: Mapping[int, str], lost: Iterable[str], *, n_read: int
) -> str:
    """Return the state of a mount by what was seen alone: never free."""
    found = list(holders)
    busy = [holder for holder in found if holder.of in {"mount", "copy"}]
    if any(holder.stays for holder in busy):
        return "held"
    if any(lost) or len(unread) > MOST_NAMED or (unread and len(unread) >= n_read):
        return "unknown"
    if busy:
        return "transient"
    return "superblock" if any(holder.stays for holder in found) else "nobody-seen"


def judged(state: str, word: KernelWord | None) -> str:
    """Return the state of a mount once the kernel was asked as well."""
    if word is None or word.said == "refused":
        return state
    if word.said == "busy":
        return "transient" if state == "transient" else "held"
    # The kernel counted the references of this one mount: a copy that is held is not among them.
    return {"nobody-seen": "free", "unknown": "free", "transient": "free"}.get(state, state)
