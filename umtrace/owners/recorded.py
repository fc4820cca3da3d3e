"""Gives the facts of a recording to its rows, as they were learnt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from umtrace.model.events import Array
from umtrace.owners.facts import Fact
from umtrace.owners.resolve import Asked


class RecordedFacts:
    """A learner that knows what a recording knows.

    Parameters
    ----------
    facts : iterable of Fact
        In the order of the recording. One that is not, of a damaged recording, counts from the row
        that those before it reached.
    """

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._facts = iter(facts)
        self._next: Fact | None = None
        self._reached = 0

    def born(self, births: Array) -> None:
        """Ignore them: what mattered of them is in the recording."""

    def learn(self, first: int, asked: Sequence[Asked]) -> Iterator[Fact]:
        """Yield the facts that count before the last of the rows from ``first`` on."""
        last = first + max(len(asked) - 1, 0)
        while (fact := self._next or next(self._facts, None)) is not None:
            self._reached = max(self._reached, fact.at_row)
            if self._reached > last:
                self._next = replace(fact, at_row=self._reached)
                return
            self._next = None
            yield replace(fact, at_row=self._reached)
