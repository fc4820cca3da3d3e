"""Which of the things that tasks have open share one reference to their mount.

A descriptor that was copied by dup(2), fork(2) or SCM_RIGHTS is the same open file, and has one
reference with all its copies. So have the directories of tasks that share them (CLONE_FS).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations

from umtrace.holders import comparing
from umtrace.holders.asker import asker
from umtrace.holders.procfs import Open

_KINDS = {"fd": comparing.FILE, "cwd": comparing.DIRECTORIES, "root": comparing.DIRECTORIES}
_MOST_ALIKE = 32  # so at most 496 comparisons
_PATIENCE_S = 0.2


def references(opened: Sequence[tuple[Hashable, Open | None]]) -> list[int | None]:
    """Return a number for each: two with different numbers have different references.

    None is not known. Only what has the same kind and path, and the same mount (the first value of
    each), can share a reference, so all else is not compared.
    """
    alike: dict[Hashable, list[int]] = {}
    for number, (mount, one) in enumerate(opened):
        if one is not None and one.kind in _KINDS:
            alike.setdefault((mount, one.kind, one.path), []).append(number)
    found: list[int | None] = [None] * len(opened)
    for members in alike.values():
        things = [one for _, one in (opened[number] for number in members) if one is not None]
        for number, same in zip(members, _firsts(things), strict=True):
            found[number] = None if same is None else members[same]
    return found


def _firsts(things: Sequence[Open]) -> list[int | None]:
    """Return of each the place of the first that it shares its reference with; None: not known."""
    if len(things) > _MOST_ALIKE:
        return [None] * len(things)
    firsts: list[int | None] = [*range(len(things))]
    pairs = list(combinations(range(len(things)), 2))
    answers = _compared([(things[one], things[other]) for one, other in pairs])
    for (one, other), answer in zip(pairs, answers, strict=True):
        if answer < 0:
            return [None] * len(things)
        if answer == comparing.SAME and firsts[other] == other:
            firsts[other] = firsts[one]
    return firsts


def _compared(pairs: Sequence[tuple[Open, Open]]) -> list[int]:
    if not pairs:
        return []
    questions = [
        (_KINDS[one.kind], one.tid, other.tid, one.fd or 0, other.fd or 0) for one, other in pairs
    ]
    try:
        answers: list[int] = asker().ask("compared", questions, patience_s=_PATIENCE_S)
    except OSError as error:
        return [-(error.errno or 5)] * len(pairs)
    return answers
