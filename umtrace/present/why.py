"""The answer of `umtrace why`, for reading and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from umtrace.present.remedies import remedy
from umtrace.present.terminal import clean
from umtrace.present.units import plural
from umtrace.records.holders import Holder

_MOST = 50
_OF = {
    "mount": "Held: umount says EBUSY because of",
    "copy": "A copy that umount would take along is held by",
    "superblock": "The superblock is kept alive by",
}
_VERDICTS = {
    "free": "Free: the kernel says so.",
    "transient": "Transient: only passers-by were seen; a retry would do.",
    "held": "Held: a retry will not do until these let go.",
    "superblock": "Umount would succeed; its file system stays alive, and its device busy.",
    "nobody-seen": "Nobody was seen to hold it; what no program can see may.",
    "unknown": "Unknown: nobody was seen to hold it, but not everything could be looked at.",
}


class MountLike(Protocol):
    """A mount, as `holders.mounts` has it."""

    @property
    def point(self) -> str:
        """Where it is mounted."""

    @property
    def fstype(self) -> str:
        """File system type."""

    @property
    def source(self) -> str:
        """Device or source."""

    @property
    def mnt_id(self) -> int:
        """Id in mountinfo."""


class AnswerLike(Protocol):
    """What `holders.inquiry` answers."""

    @property
    def path(self) -> str:
        """The path asked about, resolved."""

    @property
    def dev(self) -> str:
        """major:minor."""

    @property
    def state(self) -> str:
        """One of the verdicts."""

    @property
    def mount(self) -> MountLike | None:
        """The mount; None for a device."""

    @property
    def holders(self) -> tuple[Holder, ...]:
        """Who holds it."""

    @property
    def blind(self) -> tuple[str, ...]:
        """What could not be seen."""

    @property
    def unread(self) -> Mapping[int, str]:
        """The processes that could not be read, with their names."""

    @property
    def n_namespaces(self) -> int:
        """How many namespaces were looked into."""


def why_lines(answer: AnswerLike) -> Iterator[str]:
    """Yield the lines of the answer, the verdict first."""
    yield f"{_subject(answer)}"
    yield _VERDICTS[answer.state]
    shown = 0
    for of, title in _OF.items():
        holders = _folded([h for h in answer.holders if h.of == of])
        if not holders:
            continue
        yield ""
        yield f"{title}:"
        for holder, more in holders[: max(_MOST - shown, 1)]:
            also = f" and {plural(more, 'file')} more" if more else ""
            yield f"  {_who(holder)}{also}"
            yield f"    to free it: {remedy(holder)}"
        rest = len(holders) - max(_MOST - shown, 1)
        if rest > 0:
            yield f"  and {rest} more; --json lists all"
        shown += len(holders)
    if answer.blind:
        yield ""
        yield from (f"Not seen: {what}" for what in answer.blind)
    yield ""
    yield f"{plural(answer.n_namespaces, 'mount namespace')} looked into, each for a moment."


def _folded(holders: list[Holder]) -> list[tuple[Holder, int]]:
    """Return the holders, each with how many more files of the mount the same process maps."""
    first: dict[object, Holder] = {}
    more: Counter[object] = Counter()
    for number, holder in enumerate(holders):
        key = (holder.pid, holder.kind) if holder.kind == "maps" else number
        more[key] += key in first
        first.setdefault(key, holder)
    return [(holder, more[key]) for key, holder in first.items()]


def why_json(answer: AnswerLike, exit_code: int) -> str:
    """Return the answer as one JSON object."""
    mount = answer.mount
    whole: dict[str, Any] = {
        "path": answer.path,
        "state": answer.state,
        "exit_code": exit_code,
        "retry_would_do": {"transient": True, "free": True, "superblock": True, "held": False}.get(
            answer.state
        ),
        "dev": answer.dev,
        "mount": None
        if mount is None
        else {
            "point": mount.point,
            "fstype": mount.fstype,
            "source": mount.source,
            "mnt_id": mount.mnt_id,
        },
        "holders": [{**h.to_dict(), "remedy": str(remedy(h))} for h in answer.holders],
        "blind": list(answer.blind),
        "unread": [{"pid": pid, "comm": comm} for pid, comm in answer.unread.items()],
        "namespaces": answer.n_namespaces,
    }
    return json.dumps(whole, indent=2) + "\n"


def _subject(answer: AnswerLike) -> str:
    if answer.mount is None:
        return clean(f"{answer.path}: block device {answer.dev}")
    mount = answer.mount
    about = f"{mount.fstype} {mount.source}, superblock {answer.dev}, mount id {mount.mnt_id}"
    if mount.point == answer.path:
        return clean(f"{answer.path}: {about}")
    return clean(f"{answer.path}: no mount point; it lies in {mount.point} ({about})")


def _who(holder: Holder) -> str:
    passing = "" if holder.stays else f" (seen at {holder.seen} of {holder.looks} looks)"
    where = f", in mount namespace {holder.mntns}" if holder.of != "mount" and holder.mntns else ""
    if holder.kind in {"submount", "mount"}:
        return clean(f"mount {holder.detail}{where}")
    if holder.pid is None:
        by = "" if holder.comm in {None, holder.kind} else f" {holder.comm}"
        return clean(f"{holder.kind}{by}: {holder.detail}")
    task = f"{holder.comm or '?'} (pid {holder.pid})"
    if holder.tid not in {None, holder.pid}:
        task = f"{holder.comm or '?'} (pid {holder.pid}, thread {holder.tid})"
    what = f"fd {holder.fd}" if holder.kind == "fd" else holder.kind
    return clean(f"{task}: {what} {holder.detail}{where}{passing}")
