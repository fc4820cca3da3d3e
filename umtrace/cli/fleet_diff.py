"""`umtrace fleet diff`: two sides of a fleet."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from umtrace.cli.complete import fleet_keys, several_of
from umtrace.cli.filters import key_list
from umtrace.cli.fleet_options import FleetOptions, Pattern, When, fleet_options
from umtrace.cli.options import examples, several

_EPILOG = examples(
    "umtrace fleet diff summaries --a kernel='6.12*' --b kernel='6.18*'",
    "umtrace fleet diff summaries --since-a 2026-01-05 --until-a 2026-01-12 --since-b 2026-01-12",
)


def _side_options(side: str) -> list[Any]:
    return [
        click.option(
            f"--{side}", f"where_{side}", type=Pattern(), metavar="KEY=GLOB", multiple=True,
            help=f"On side {side.upper()}, count only these.",
        ),
        click.option(
            f"--since-{side}", type=When(), metavar="TIME",
            help=f"On side {side.upper()}, count hours from TIME on.",
        ),
        click.option(
            f"--until-{side}", type=When(), metavar="TIME",
            help=f"On side {side.upper()}, count hours before TIME.",
        ),
    ]  # fmt: skip


@click.command("diff", epilog=_EPILOG)
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@several(*_side_options("a"), *_side_options("b"))
@click.option(
    "--by", default="mode", show_default=True, metavar="KEY,…",
    shell_complete=several_of(fleet_keys),
    help="Compare by group of these keys, or none.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@fleet_options
def command(
    a: str, b: str | None, by: str, as_json: bool, fleet: FleetOptions, **sides: Any
) -> int:
    """Compare side B with side A: which phases are slower or faster.

    A and B are folders or URLs; without B both sides are in A. The interval of a ratio comes from
    hosts drawn again, since the umounts of one host are alike. "slower" and "faster" appear only
    if the interval excludes 1, which takes 8 hosts on each side.
    """
    from umtrace.fleet.compare import Side
    from umtrace.fleet.sides import page_of
    from umtrace.fleet.verdicts import DAMAGE
    from umtrace.model.errors import DamagedInputError
    from umtrace.present.diff import diff_dict, diff_text
    from umtrace.present.escaped import to_json
    from umtrace.present.terminal import width_of, write
    from umtrace.stats.summarize import DEFAULT_METRICS

    made = []
    for name, folder in (("a", a), ("b", b or a)):
        query = _of_side(fleet, name, sides).query(by=tuple(key_list(by)), resample=DEFAULT_METRICS)
        part = fleet.run([folder], query)
        made.append(Side(name=name.upper(), folder=folder, query=query, part=part))
    page = page_of(*made)
    write(
        to_json(diff_dict(page)) if as_json else diff_text(page, width_of(sys.stdout)), sys.stdout
    )
    damaged = any(v.kind in DAMAGE for side in made for v in side.part.verdicts)
    return DamagedInputError.exit_code if damaged else 0


def _of_side(fleet: FleetOptions, name: str, sides: dict[str, Any]) -> FleetOptions:
    """Return the options with those of one side, which replace common ones of the same key."""
    mine = sides[f"where_{name}"]
    keys = {key for key, _ in mine}
    since, until = sides[f"since_{name}"], sides[f"until_{name}"]
    return replace(
        fleet,
        where=(*(pair for pair in fleet.where if pair[0] not in keys), *mine),
        since_ns=fleet.since_ns if since is None else since,
        until_ns=fleet.until_ns if until is None else until,
    )
