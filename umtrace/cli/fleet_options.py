"""What the commands of `umtrace fleet` share: options, and what they make of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.options import as_one
from umtrace.model.errors import UsageError

if TYPE_CHECKING:
    from umtrace.fleet.mapping import Part, Query


class Pattern(click.ParamType):  # type: ignore[type-arg] # generic in click 8.3 only
    """KEY=GLOB."""

    name = "key=glob"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return key and pattern; BadParameter where there is no `=`."""
        if isinstance(value, tuple):
            return value
        key, equals, pattern = str(value).partition("=")
        if not equals or not pattern:
            self.fail(f"'{value}' is not KEY=GLOB, such as kernel='6.12*'.", param, ctx)
        return key, pattern


class When(click.ParamType):  # type: ignore[type-arg]
    """A day or time of UTC, as ns since the epoch."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return ns; BadParameter where it is no time."""
        if isinstance(value, int):
            return value
        try:
            when = datetime.fromisoformat(str(value).removesuffix("Z"))
        except ValueError:
            self.fail(f"'{value}' is no time, such as 2026-01-31 or 2026-01-31T12:00.", param, ctx)
        zoned = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        return int(zoned.timestamp()) * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """Which hosts and hours are read, and by what."""

    where: tuple[tuple[str, str], ...]
    since_ns: int | None
    until_ns: int | None
    scheduler: str

    def query(self, **more: object) -> Query:
        """Return the query of these options."""
        from umtrace.fleet.mapping import Query

        since, until = self.since_ns, self.until_ns
        if since is not None and until is not None and since >= until:
            raise UsageError("--since is not before --until: no hour is between them")
        given = {"where": self.where, "span": (since, until)} | more
        return Query(now_ns=time.time_ns(), **given)  # type: ignore[arg-type]

    def run(self, folders: Sequence[str], query: Query) -> Part:
        """Return what the folders come to."""
        from umtrace.fleet.engine import run
        from umtrace.fleet.items import tasks_in

        return run(tasks_in(folders, query.span), query, self.scheduler)


fleet_options = as_one(
    "fleet",
    FleetOptions,
    click.option(
        "--where",
        type=Pattern(),
        metavar="KEY=GLOB",
        multiple=True,
        help="Count only these, such as host='web*' or kernel='6.12*'. Patterns of one KEY are "
        "alternatives.",
    ),
    click.option(
        "--since", "since_ns", type=When(), metavar="TIME", help="Count hours from TIME on, of UTC."
    ),
    click.option(
        "--until", "until_ns", type=When(), metavar="TIME", help="Count hours before TIME, of UTC."
    ),
    click.option(
        "--scheduler",
        default="none",
        show_default=True,
        metavar="none|local|tcp://…",
        help="Run in this process, in a Dask cluster of this host, or in one that runs already.",
    ),
)


def host_list(path: str | None) -> list[str] | None:
    """Return the hosts of a file, one a line; `#` begins a remark.

    Raises
    ------
    UsageError
        It cannot be read.
    """
    if path is None:
        return None
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no list of hosts: {error}") from None
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
