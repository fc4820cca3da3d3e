"""The owners of a recording's umounts, from what was learnt while it was made."""

from __future__ import annotations

from collections.abc import Iterator

from umtrace.model.errors import DamagedInputError
from umtrace.owners import facts
from umtrace.owners.facts import Fact, facts_from_arrow
from umtrace.owners.recorded import RecordedFacts
from umtrace.owners.resolve import Owners
from umtrace.recording import Recording
from umtrace.recording.tables import OWNERS

#: key in meta.json of recordings until format 1.1: containers of cgroup ids
_CONTAINERS = "containers"


def recorded_owners(recording: Recording) -> Owners:
    """Return what gives the rows of a recording the same owners again.

    Raises
    ------
    DamagedInputError
        The containers of an older recording are no names.
    """
    old = recording.meta.extra.get(_CONTAINERS, {})
    if not isinstance(old, dict) or not all(isinstance(name, str) for name in old.values()):
        raise DamagedInputError(f"{recording.path}: meta.json is damaged: containers are no names")
    return Owners(RecordedFacts([*_of_containers(old)] if old else _of_table(recording)))


def _of_containers(old: dict[str, str]) -> Iterator[Fact]:
    for cgroup_id, name in old.items():
        if cgroup_id.isascii() and cgroup_id.isdigit():
            yield Fact(what=facts.CGROUP, cgroup_id=int(cgroup_id), container=name)


def _of_table(recording: Recording) -> Iterator[Fact]:
    for rows in recording.batches(OWNERS.name):
        yield from facts_from_arrow(rows)
