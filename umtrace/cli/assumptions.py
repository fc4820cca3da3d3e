"""The options of what a simulation assumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from umtrace.cli.options import Count, Seconds, as_one
from umtrace.whatif.designs import HZ, LEAST_HZ, MOST_HZ


class Times(click.ParamType):  # type: ignore[type-arg] # generic in click 8.3 only
    """A list of durations, `12ms,15ms`, as texts."""

    name = "times"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the texts; BadParameter without any."""
        if isinstance(value, tuple):
            return value
        texts = tuple(each.strip() for each in str(value).split(",") if each.strip())
        if not texts:
            self.fail("give at least one, such as 15ms", param, ctx)
        for text in texts:
            Seconds().convert(text, param, ctx)
        return texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is assumed of the recorded host."""

    normal_gp: tuple[str, ...]
    hz: int | None


host_options = as_one(
    "host",
    Host,
    click.option(
        "--normal-gp",
        type=Times(),
        default=(),
        metavar="TIME,…",
        help="Assume these lengths of normal grace periods, such as 15ms or 12ms,15ms,22ms, "
        "instead of those that the recording shows.",
    ),
    click.option(
        "--hz",
        type=Count(LEAST_HZ, MOST_HZ),
        metavar="N",
        help=f"Timer ticks a second on the recorded host.  [default: as recorded, else {HZ}]",
    ),
)
