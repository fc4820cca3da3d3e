"""umtrace selftest: whether it sees what really happens, here, in every tier."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from umtrace.cli import working
from umtrace.cli.complete import checked_tiers, one_of
from umtrace.cli.live import unwinding
from umtrace.cli.options import examples
from umtrace.model.activity import NOW
from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError
from umtrace.present.terminal import WIDTH
from umtrace.present.units import plural
from umtrace.present.wrapping import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umtrace.selftest import Agreement, Check, Result


@click.command("selftest", epilog=examples("umtrace selftest --tier tracepoint"))
@click.option(
    "--tier",
    shell_complete=one_of(checked_tiers),
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
    happen in a private mount namespace. A tier that fails is reported; the others still run. The
    last lines are the verdict, and which tiers could not be checked. The exit status is 1 if
    anything differs.
    """
    results, left_out = _tested(tier, probes, as_json=as_json)
    together = _together(results, probes, as_json=as_json)
    checks = [check for result in results for check in result.checks]
    checks += [check for agreement in together for check in agreement.checks]
    if as_json:
        found = {
            "tiers": [_to_dict(result) for result in results],
            "together": [_to_dict(agreement) for agreement in together],
        }
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo()
        click.echo(_verdict(results, checks))
        for name, why in left_out.items():
            left = f"Not checked: tier {name}, which does not work here ({why})"
            click.echo("\n".join(wrap(left, WIDTH, subsequent_indent="  ")))
    ctx.exit(0 if all(check.ok for check in checks) else 1)


def _verdict(results: Sequence[Result], checks: Sequence[Check]) -> str:
    """Return what it comes to, in one line."""
    wrong = [check.what for check in checks if not check.ok]
    tiers = ", ".join(result.tier for result in results)
    if not wrong:
        return f"ok: all {plural(len(checks), 'check')} agree with what was unmounted ({tiers})"
    return f"WRONG: {len(wrong)} of {plural(len(checks), 'check')} differ: {'; '.join(wrong[:3])}"


def _tested(
    tier: str, probes: str, *, as_json: bool
) -> tuple[list[Result], dict[str, UmtraceError]]:
    """Check one tier, or all, and print each as it ends; also why some cannot be had here."""
    from umtrace import selftest
    from umtrace.sources.select import LIVE_TIERS

    results: dict[str, Result] = {}
    failures: dict[str, UmtraceError] = {}
    for name in LIVE_TIERS if tier == "all" else (tier,):
        if name in results:  # as the stand-in for another
            continue
        try:
            result = selftest.run(name, probes)
        except (NoTierError, NotPermittedError) as error:
            failures[name] = error
            continue
        results[result.tier] = result
        if not as_json:
            _print_result(result)
    if not results:
        raise next(iter(failures.values()))
    return list(results.values()), failures


def _together(results: Sequence[Result], probes: str, *, as_json: bool) -> list[Agreement]:
    """Check all at once that ran to their end, and print it."""
    from umtrace import selftest

    NOW.note("recording known umounts in all tiers at once")
    found = selftest.run_together([result.tier for result in results if result.columns], probes)
    for agreement in () if as_json else found:
        _print_agreement(agreement)
    return found


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


def _print_result(result: Result) -> None:
    click.echo(f"Tier {result.tier}")
    _print_checks(result.checks)
    if result.clock_ratio is not None:
        _note("latency over the clock around umount2", f"{result.clock_ratio:.3f}")
    _go_on()


def _print_agreement(agreement: Agreement) -> None:
    first, second = agreement.tiers
    one = first == second
    click.echo(f"Tier {first} beside others" if one else f"Tiers {first} and {second} at once")
    _print_checks(agreement.checks)
    if agreement.rcu_ratio is not None and agreement.rcu_apart_ns is not None:
        _note(f"RCU wait, {second} over {first}", f"{agreement.rcu_ratio:.3f}")
        _note("RCU waits apart, median", f"{agreement.rcu_apart_ns / 1e3:.1f} us")


def _go_on() -> None:
    sys.stdout.flush()
    working.begin()


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
