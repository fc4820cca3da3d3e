"""umtrace selftest: whether it sees what really happens, here, in every tier."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from umtrace.selftest import Result


@click.command("selftest", epilog="Example: umtrace selftest --tier tracepoint")
@click.option("--tier", default="all", metavar="TIER", help="One tier instead of all that work.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.pass_context
def command(ctx: click.Context, tier: str, as_json: bool) -> None:
    """Unmount known things under each tier and compare every count exactly.

    Works in a private mount namespace. Exit status 1 if anything differs.
    """
    from umtrace import selftest
    from umtrace.diagnosis import working_tiers

    tiers = working_tiers() if tier == "all" else [tier]
    results = [selftest.run(name) for name in tiers]
    if as_json:
        click.echo(json.dumps([_to_dict(result) for result in results], indent=2))
    else:
        for result in results:
            _print(result)
    ctx.exit(0 if all(result.ok for result in results) else 1)


def _to_dict(result: Result) -> dict[str, object]:
    checks = [
        {"what": c.what, "ok": c.ok, "expected": _plain(c.expected), "seen": _plain(c.seen)}
        for c in result.checks
    ]
    return {**asdict(result), "ok": result.ok, "checks": checks}


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str) else str(value)


def _print(result: Result) -> None:
    click.echo(f"Tier {result.tier}")
    for check in result.checks:
        number = isinstance(check.expected, int) and not isinstance(check.expected, bool)
        detail = f"{check.seen} of {check.expected}" if number else ("same", "differ")[not check.ok]
        click.echo(f"  {'ok' if check.ok else 'WRONG':<5}  {check.what:<36} {detail}")
    if result.clock_ratio is not None:
        click.echo(f"         latency over the clock around umount2  {result.clock_ratio:.3f}")
