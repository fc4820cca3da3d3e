"""The answer of `umtrace why`, for reading and as JSON."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from umtrace.model.holders import KERNEL_KINDS, Holder
from umtrace.present.escaped import dumps
from umtrace.present.remedies import Remedy, remedy
from umtrace.present.tasks import by_process, line_of
from umtrace.present.terminal import WIDTH, clean
from umtrace.present.units import plural
from umtrace.present.verdicts import ROOT, verdict
from umtrace.present.wrapping import wrap

if TYPE_CHECKING:
    from umtrace.holders.answer import Answer

#: processes and others of the first group, and of each further one: some 20 lines in all
_MOST, _MORE = (5, 3), (2, 2)
_MOST_BLIND = 4
_ADVICE = ("    to end ", "    then")
_EVERYBODY = (sys.maxsize, sys.maxsize)
_TITLES = {
    "mount": "",
    "copy": "A propagated copy, which umount would unmount too, is held by",
    "claim": "Claimed by",
    "open": "Open by",
    "suspect": "Possible holders",
    "superblock": "Its file system is in use by",
}
#: by what was seen; null where nobody was
_RETRY = {"transient": True, "free": True, "superblock": True, "held": False}


def why_lines(answer: Answer, *, whole: bool = False) -> Iterator[str]:
    """Yield the lines of the answer, the verdict first; ``whole`` lists every holder."""
    yield clean(_subject(answer))
    yield from verdict(answer)
    if _is_root(answer) and not whole:
        return  # to end its holders would end the system
    most = _EVERYBODY if whole else _MOST
    for of, title in _TITLES.items():
        holders = [holder for holder in answer.holders if holder.of == of]
        if holders:
            yield ""
            yield from [f"{title}:"] if title else []
            lines = _group(answer, holders, most)
            yield from (line for line in lines if not (_is_root(answer) and _advises(line)))
            most = _EVERYBODY if whole else _MORE
    if answer.blind or answer.kernel or answer.state in {"nobody-seen", "unknown"}:
        yield ""
    for what in answer.blind if whole else answer.blind[:_MOST_BLIND]:
        yield from _wrapped(f"Not seen: {what}.")
    yield from _rest(len(answer.blind) - (len(answer.blind) if whole else _MOST_BLIND))
    yield from _next(answer)


def why_json(answer: Answer, exit_code: int) -> str:
    """Return the answer as one JSON object."""
    mount, word = answer.mount, answer.kernel
    whole: dict[str, Any] = {
        "path": answer.path,
        "subject": answer.subject,
        "state": answer.state,
        "exit_code": exit_code,
        "retry_would_do": _retry_would_do(answer),
        "dev": answer.dev,
        "file": answer.file,
        "mount": None
        if mount is None
        else {
            "point": mount.point,
            "fstype": mount.fstype,
            "source": mount.source,
            "mnt_id": mount.mnt_id,
        },
        "kernel": None if word is None else {"said": word.said, "how": word.how, "why": word.why},
        "holders": [_holder(answer, holder) for holder in answer.holders],
        "blind": list(answer.blind),
        "unread": [{"pid": pid, "comm": comm} for pid, comm in answer.unread.items()],
        "unseen": list(answer.unseen),
        "namespaces": answer.n_namespaces,
    }
    return dumps(whole, indent=2) + "\n"


def _retry_would_do(answer: Answer) -> bool | None:
    if answer.subject != "mount":
        return None
    return _RETRY.get(answer.state)


def _is_root(answer: Answer) -> bool:
    return answer.path == "/" and answer.subject == "mount"


def _advises(line: str) -> bool:
    return line.startswith(_ADVICE)


def _holder(answer: Answer, holder: Holder) -> dict[str, Any]:
    found = Remedy(text=ROOT) if _is_root(answer) else remedy(holder)
    return {**holder.to_dict(), "remedy": str(found), "command": found.command or None}


def _subject(answer: Answer) -> str:
    mount = answer.mount
    if mount is None:
        what = {None: "", "": ", a loop device without a file"}
        about = what.get(answer.file, f", a loop device of {answer.file}")
        return f"{answer.path}: block device {answer.dev}{about}"
    if answer.subject == "path":
        return f"{answer.path}: not a mount point; it is in {mount.point} ({mount.fstype})"
    part = "" if mount.root == "/" else f"[{mount.root}]"
    about = f"{mount.fstype} {mount.source}{part}, device {answer.dev}, id {mount.mnt_id}"
    return f"{answer.path}: {about}"


def _group(answer: Answer, holders: list[Holder], most: tuple[int, int]) -> Iterator[str]:
    tasks = [h for h in holders if h.pid is not None and h.kind not in KERNEL_KINDS]
    others = [h for h in holders if h.pid is None or h.kind in KERNEL_KINDS]
    users = _users(tasks, others)
    if holders[0].of == "superblock" and most != _EVERYBODY:
        through = [h for h in tasks if h.match == "mount-id" and h.mnt_id not in users]
        yield from _through_mounts(answer, through)
        tasks = [h for h in tasks if h not in through]
        if any(h.kind == "mount" and not h.keeper for h in others) and answer.subject == "mount":
            # One of our own mounts: that they are there is all that matters.
            yield from _other_mounts(others)
            others = [h for h in others if h.kind != "mount"]
    yield from _tasks(tasks, most[0])
    for holder in others[: most[1]]:
        yield "  " + clean(_what(holder))
        yield "    " + clean(_to_end(holder, users.get(holder.mnt_id)))
    yield from _rest(len(others) - most[1])


def _users(tasks: list[Holder], others: list[Holder]) -> dict[int | None, set[int | None]]:
    """Return the processes that make the umount of a mount in another namespace fail."""
    ids = {h.mnt_id for h in others if h.kind == "mount" and h.unmount and h.detail != "/"}
    ids -= {None} | {h.mnt_id for h in others if not h.keeper}
    return {
        number: pids for number in ids if (pids := {h.pid for h in tasks if h.mnt_id == number})
    }


def _to_end(holder: Holder, users: set[int | None] | None) -> str:
    if not users or holder.kind != "mount":
        return f"to end it: {remedy(holder)}"
    if holder.pid in users:  # the command would enter the namespace through it
        return "then run this command again, if another process keeps the namespace"
    return f"then, if it is still mounted: {remedy(holder)}"


def _tasks(tasks: list[Holder], most: int) -> Iterator[str]:
    groups = by_process(tasks)
    for holds in groups[:most]:
        yield f"  {line_of(holds, whole=most == sys.maxsize)}"
    yield from _rest(len(groups) - most)
    ends = dict.fromkeys(remedy(h) for h in tasks if h.stays)
    pids = list(dict.fromkeys(e.command[5:] for e in ends if e.command.startswith("kill ")))
    if pids:
        them = "it" if len(pids) == 1 else "them"
        shown = pids[:most]
        more = " ..." if len(shown) < len(pids) else ""
        yield f"    to end {them}: kill {' '.join(shown)}{more}"
    others = dict.fromkeys(str(e) for e in ends if not e.command.startswith("kill "))
    yield from (clean(f"    to end it: {each}") for each in others)


def _through_mounts(answer: Answer, tasks: list[Holder]) -> Iterator[str]:
    if tasks:
        number = len({h.pid for h in tasks})
        which = "the other mounts of it" if answer.subject == "mount" else "these mounts"
        yield f"  {plural(number, 'process', 'processes')} through {which}"


def _other_mounts(holders: Iterable[Holder]) -> Iterator[str]:
    mounts = [h for h in holders if h.kind == "mount"]
    if mounts:
        spaces = {h.mntns for h in mounts}
        where = f" in {plural(len(spaces), 'mount namespace')}" if len(spaces) > 1 else ""
        more = f" and {plural(len(mounts) - 1, 'place')} more" if len(mounts) > 1 else ""
        yield "  " + clean(f"mount {mounts[0].detail}{more}{where}")


def _rest(number: int) -> Iterator[str]:
    if number > 0:
        yield f"  and {number} more: --all"


def _what(holder: Holder) -> str:
    note = f", {holder.note}" if holder.note else ""
    if holder.kind in {"submount", "mount"}:
        return f"{holder.kind.replace('sub', '')} {holder.detail}{_where(holder)}{note}"
    by = "" if holder.comm in {None, holder.kind} or holder.keeper else f" {holder.comm}"
    return f"{holder.kind}{by}: {holder.detail}{_where(holder)}{note}"


def _where(holder: Holder) -> str:
    if not holder.keeper:
        return ""
    return f" in mount namespace {holder.mntns}, kept by {holder.keeper}"


def _next(answer: Answer) -> Iterator[str]:
    """Yield the answer of the kernel, or how to get it."""
    word, path = answer.kernel, shlex.quote(answer.path)
    if word is not None:
        why = f": {word.why}" if word.why else ""
        free = "reports free" if answer.mount is not None else "reports no claim"
        said = {"busy": "reports busy", "free": free, "refused": "was not asked"}[word.said]
        yield from _wrapped(f"The kernel {said} ({word.how}){why}.")
    if answer.state in {"nobody-seen", "unknown"} or (
        answer.state == "held" and not answer.holders
    ):
        yield from _wrapped(f"No program can see: {', '.join(answer.unseen)}.")
    if answer.mount is not None and answer.mount.point == "/":
        return  # the root directory is no question
    if answer.subject == "path" and answer.mount is not None:
        yield clean(f"Next: umtrace why {shlex.quote(answer.mount.point)}, its mount.")
    elif answer.state in {"nobody-seen", "unknown"} and word is None:
        yield clean(f"Next: umtrace why --ask-kernel {path}")
    elif answer.subject == "mount" and answer.state in {"held", "nobody-seen"} - {_held(answer)}:
        yield clean(f"Next: umtrace record -o F -- umount {path}; umtrace ebusy F")


def _wrapped(text: str) -> list[str]:
    return wrap(clean(text), WIDTH, subsequent_indent="  ")


def _held(answer: Answer) -> str:
    """Return the state held if it is known by whom."""
    return "held" if any(h.of in {"mount", "copy"} for h in answer.holders) else ""
