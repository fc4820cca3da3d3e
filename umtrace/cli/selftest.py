"""umtrace selftest: whether it sees what really happens, here, in every tier."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from umtrace.cli.live import unwinding
from umtrace.cli.options import examples
from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umtrace.selftest import Agreement, Check, Result


@click.command("selftest", epilog=examples("umtrace selftest --tier tracepoint"))
@click.option(
    "--tier",
    default="all",
    show_default=True,
    metavar="TIER",
    help="Check one tier, or all that work.",
)
@click.option(
    "--probes",
    type=click.Choice(["full", "light"]),
    default="full",
    show_default=True,
    help="Probe set of the function tiers, as of umtrace record.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.pass_context
@unwinding()
def command(ctx: click.Context, tier: str, probes: str, as_json: bool) -> None:
    """Check each tier: record known umounts and compare every count.

    A last run has all tiers at once; their rows for the same umounts must agree. The umounts
    happen in a private mount namespace. The exit status is 1 if anything differs. A tier that
    fails is reported; the others still run.
    """
    from umtrace import selftest

    results = _all_that_work(probes) if tier == "all" else [selftest.run(tier, probes)]
    whole = [result.tier for result in results if result.columns]
    together = selftest.run_together(whole, probes)
    if as_json:
        found = {
            "tiers": [_to_dict(result) for result in results],
            "together": [_to_dict(agreement) for agreement in together],
        }
        click.echo(json.dumps(found, indent=2))
    else:
        _print(results, together)
    agreed = all(result.ok for result in results) and all(pair.ok for pair in together)
    ctx.exit(0 if agreed else 1)


def _all_that_work(probes: str) -> list[Result]:
    from umtrace import selftest
    from umtrace.sources.select import LIVE_TIERS

    results: dict[str, Result] = {}
    failures: list[UmtraceError] = []  # of tiers that this kernel lacks
    for tier in LIVE_TIERS:
        if tier in results:  # as the stand-in for another
            continue
        try:
            result = selftest.run(tier, probes)
        except (NoTierError, NotPermittedError) as error:
            failures.append(error)
        else:
            results[result.tier] = result
    if not results:
        raise failures[0]
    return list(results.values())


def _to_dict(found: Result | Agreement) -> dict[str, Any]:
    checks = [
        {"what": c.what, "ok": c.ok, "expected": _plain(c.expected), "seen": _plain(c.seen)}
        for c in found.checks
    ]
    return {**asdict(found), "ok": found.ok, "checks": checks}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): count for key, count in value.items()}
    return value if isinstance(value, int | float | str) else str(value)


def _print(results: Sequence[Result], together: Sequence[Agreement]) -> None:
    for result in results:
        click.echo(f"Tier {result.tier}")
        _print_checks(result.checks)
        if result.clock_ratio is not None:
            _note("latency over the clock around umount2", f"{result.clock_ratio:.3f}")
    for agreement in together:
        first, second = agreement.tiers
        one = first == second
        click.echo(f"Tier {first} beside others" if one else f"Tiers {first} and {second} at once")
        _print_checks(agreement.checks)
        if agreement.rcu_ratio is not None and agreement.rcu_apart_ns is not None:
            _note(f"RCU wait, {second} over {first}", f"{agreement.rcu_ratio:.3f}")
            _note("RCU waits apart, median", f"{agreement.rcu_apart_ns / 1e3:.1f} us")


def _print_checks(checks: Sequence[Check]) -> None:
    for check in checks:
        number = isinstance(check.expected, int) and not isinstance(check.expected, bool)
        detail = f"{check.seen} of {check.expected}" if number else _sameness(check)
        click.echo(f"  {'ok' if check.ok else 'WRONG':<5}  {check.what:<39} {detail}")


def _sameness(check: Check) -> str:
    if isinstance(check.expected, str):
        return str(check.seen)
    return "same" if check.ok else "differ"


def _note(what: str, value: str) -> None:
    click.echo(f"         {what:<39} {value}")
