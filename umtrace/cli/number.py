"""Numbers and durations of the command line."""

from __future__ import annotations

import math
from typing import Any

import click

from umtrace.model.errors import UsageError
from umtrace.stats.filters import parse_duration

_NS_PER_S = 1_000_000_000


class Number(click.FloatRange):
    """A range that `nan` is not in, which click takes for any; nothing is ever later than that."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; BadParameter where it is none, or outside."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"'{value}' is no number.", param, ctx)
        return number


class Seconds(click.ParamType):  # type: ignore[type-arg] # generic in click 8.3 only
    """A duration, `10s`, `1m`, `500ms` or bare seconds, as a number of seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds; BadParameter where it is no duration."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value)) / _NS_PER_S
        except UsageError as error:
            self.fail(str(error), param, ctx)
