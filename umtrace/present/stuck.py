"""The answer of `umtrace stuck`, for reading and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from umtrace.present.escaped import dumps
from umtrace.present.terminal import WIDTH, clean
from umtrace.present.units import duration, plural
from umtrace.present.wrapping import wrap

if TYPE_CHECKING:
    from umtrace.stuck.answer import Stuck, StuckAnswer

_PHASES = {
    "lookup": "in the path lookup of an umount",
    "lock": "waiting for the namespace lock",
    "tree": "in the umount tree",
    "rcu": "in the RCU wait",
    "shutdown": "in the fs shutdown",
    "other": "in an umount",
    "superblock": "waiting for a superblock that is shut down",
}
_BEFORE = "asks for the path before its umount"
_MOST_GROUPS, _MOST_TASKS, _MOST_BLIND = 4, 3, 3


def stuck_lines(answer: StuckAnswer, *, whole: bool = False) -> Iterator[str]:
    """Yield the lines of the answer, the verdict first; ``whole`` lists every task."""
    yield _verdict(answer)
    groups = _grouped(answer.tasks)
    shown = groups if whole else groups[:_MOST_GROUPS]
    for group in shown:
        yield ""
        yield from _group(group, whole=whole)
    if len(shown) < len(groups):
        rest = sum(map(len, groups[len(shown) :]))
        yield ""
        yield f"and {plural(rest, 'task')} more: --all"
    if answer.blind or answer.hidden:
        yield ""
    if answer.hidden:
        yield from _wrapped(f"Not seen: phases and causes ({answer.hidden}).")
    for what in answer.blind if whole else answer.blind[:_MOST_BLIND]:
        yield from _wrapped(f"Not seen: {what}.")
    if not whole and len(answer.blind) > _MOST_BLIND:
        yield f"and {len(answer.blind) - _MOST_BLIND} more not seen: --all"


def stuck_json(answer: StuckAnswer) -> str:
    """Return the answer as one JSON object; times in ns."""
    whole = {
        "exit_code": answer.exit_code,
        "tasks": [asdict(task) for task in answer.tasks],
        "blind": list(answer.blind),
        "stacks_hidden": answer.hidden,
        "processes": answer.n_processes,
        "watched_ns": answer.watched_ns,
    }
    return dumps(whole, indent=2) + "\n"


def _verdict(answer: StuckAnswer) -> str:
    hang = [t for t in answer.tasks if not t.moves and not _waits_behind(t)]
    behind = [t for t in answer.tasks if not t.moves and _waits_behind(t)]
    slow = [t for t in answer.tasks if t.moves]
    parts = []
    if hang:
        parts.append(f"{plural(len(hang), 'task')} {_verb('hang', hang)} in an umount")
    if behind:
        parts.append(f"{plural(len(behind), 'task')} {_verb('wait', behind)} behind one")
    if slow:
        parts.append(
            f"{plural(len(slow), 'task')} {_verb('take', slow)} long, but {_verb('run', slow)}"
        )
    if parts:
        return "; ".join(parts) + "."
    seen = plural(answer.n_processes, "process", "processes")
    if answer.exit_code:
        return f"No task was seen that hangs in an umount, but not all of {seen} could be read."
    return f"No task hangs in an umount: {seen} read."


def _verb(verb: str, tasks: Sequence[Stuck]) -> str:
    return verb + "s" * (len(tasks) == 1)


def _waits_behind(task: Stuck) -> bool:
    return task.wait in {"namespace-lock", "superblock-lock"}


def _grouped(tasks: Sequence[Stuck]) -> list[list[Stuck]]:
    """Return the tasks of one place and cause together, those that only wait behind others last."""

    def key(task: Stuck) -> tuple[bool, bool, str, str, str, str]:
        alike = _waits_behind(task) or task.wait == "grace-period"  # of one thing on a host
        own = "" if alike else f"{task.path or task.tid}"
        cause = task.cause.text if task.cause else ""
        return task.moves, _waits_behind(task), task.phase, task.container or "", cause, own

    return [list(group) for _, group in groupby(sorted(tasks, key=key), key)]


def _device(task: Stuck) -> str | None:
    return task.device and task.device.replace(", ", " or ")


def _group(group: list[Stuck], *, whole: bool) -> Iterator[str]:
    some = group if whole else group[:_MOST_TASKS]
    who = ", ".join(f"{t.comm} (pid {t.pid}{_thread(t)})" for t in some)
    if len(some) < len(group):
        who += f" and {len(group) - len(some)} more"
    task = max(group, key=lambda t: t.asleep_ns or 0)
    yield from _wrapped(f"{who}: {_where(task)}{_since(task)}", "")
    about = [f"umount of {task.path}"] if task.path and len(group) == 1 else []
    about += [text for text in (task.fstype, _device(task)) if text]
    about += [f"container {task.container[:12]}"] if task.container else []
    about += ["later last references wait behind this worker"] if task.worker else []
    if about:
        yield from _wrapped(", ".join(about))
    cause = task.cause
    if cause is not None:
        yield from _wrapped(f"waits for {cause.text}")
    elif task.function:
        yield from _wrapped(f"waits in {task.function}()" if not task.moves else "")
    if cause is not None and cause.command:
        beside = f" ({cause.remedy})" if cause.remedy else ""
        yield f"  to end it{beside}:"
        yield "    " + clean(cause.command)  # one line, to be copied


def _where(task: Stuck) -> str:
    return _PHASES[task.phase] if task.begun else _BEFORE


def _thread(task: Stuck) -> str:
    return f", thread {task.tid}" if task.tid != task.pid else ""


def _since(task: Stuck) -> str:
    if task.moves or task.asleep_ns is None:
        return f", started {duration(task.age_ns)} ago" if task.comm.startswith("umount") else ""
    least = min(task.asleep_ns, task.age_ns)
    return f", asleep for at least {duration(least)}"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return wrap(
        clean(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent or "  ",
    )
