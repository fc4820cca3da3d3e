"""umtrace doctor: what this kernel offers and what would mend the rest."""

from __future__ import annotations

import sys

import click

from umtrace.cli.live import unwinding
from umtrace.cli.options import examples


@click.command("doctor", epilog=examples("umtrace doctor", "umtrace doctor --json"))
@click.option(
    "--clean",
    is_flag=True,
    help="First remove what killed runs left in tracefs, and the cache of compiled programs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
@unwinding()
def command(ctx: click.Context, as_json: bool, clean: bool) -> None:
    """Check which tiers and probes work on this kernel, and print how to enable the rest.

    Each tier is attached for a moment and detached. The exit status is 0 if any tier works, 3 if
    a privilege is missing, else 4.
    """
    from umtrace.diagnosis import clean_up, diagnose, forget_programs
    from umtrace.present.doctor import doctor_text
    from umtrace.present.escaped import dumps
    from umtrace.present.terminal import write

    if clean:
        for what in (forget_programs() + clean_up()) or ["nothing"]:
            write(f"Removed: {what}\n", sys.stderr)
    found = diagnose()
    findings = found.to_dict()
    write(dumps(findings, indent=2) + "\n" if as_json else doctor_text(findings), sys.stdout)
    ctx.exit(found.exit_code)
