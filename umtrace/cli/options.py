"""What commands are declared with: kinds of values, several options at once, examples."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
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


def one_format(style: str | None, *, as_json: bool, default: str) -> str:
    """Return the one format that --format and --json ask for; UsageError where they ask for two."""
    if as_json and style not in {None, "json"}:
        raise click.UsageError(f"--json and --format {style} contradict each other: give one")
    return "json" if as_json else style or default


def given(ctx: click.Context, name: str) -> bool:
    """Whether an option was given, if only its default."""
    return ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


class Milliseconds(click.FloatRange):
    """A number of ms, as an option of earlier versions has it; no `nan`, which click takes."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; BadParameter where it is none, or outside."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"'{value}' is no number", param, ctx)
        return number


class Count(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; BadParameter where it is none, or outside."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"'{value}' is no whole number", param, ctx)
        if self.max is not None and number > self.max:
            self.fail(f"{value} is too large, at most {self.max} is possible", param, ctx)
        if self.min is not None and number < self.min:
            self.fail(f"{value} is too small, the least is {self.min}", param, ctx)
        return number


class Output(click.Path):
    """The name of what is written, where standard output cannot be that."""

    def __init__(self, what: str, *, as_path: bool = True) -> None:
        super().__init__(path_type=Path if as_path else None)
        self._what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; BadParameter for `-`."""
        if value == "-":
            self.fail(
                f"- is standard output, where {self._what} cannot go; give a name", param, ctx
            )
        return super().convert(value, param, ctx)


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
