"""What commands are declared with: kinds of values, several options at once, examples."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from umtrace.model.errors import UsageError
from umtrace.stats.filters import parse_duration

Command = TypeVar("Command", bound=Callable[..., Any])

_NS_PER_S = 1_000_000_000


def examples(*commands: str) -> str:
    """Return an epilog of click that shows each command on a line of its own, unwrapped."""
    title = "Example" if len(commands) == 1 else "Examples"
    return "\n".join(["\b", f"{title}:", *(f"  {command}" for command in commands)])


def several(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command these options, in this order in its help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def as_one(
    argument: str, kind: type[Any], *options: Callable[[Any], Any]
) -> Callable[[Command], Command]:
    """Return the same for options that a command takes as one argument.

    ``kind`` is the dataclass of the argument; its fields have the names of the options.
    """
    names = [field.name for field in fields(kind)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def collected(*args: Any, **kwargs: Any) -> Any:
            given = {name: kwargs.pop(name) for name in names}
            return command(*args, **{argument: kind(**given)}, **kwargs)

        decorated: Command = several(*options)(collected)  # type: ignore[assignment]
        return decorated

    return decorate


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
