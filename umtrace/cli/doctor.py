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
@click.option(
    "--paths",
    is_flag=True,
    help="Only list the paths of cgroups that umtrace knows no runtime and no unit for.",
)
@click.option("--full", is_flag=True, help="Print the host and the probes of each tier, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
@unwinding()
def command(ctx: click.Context, as_json: bool, clean: bool, paths: bool, full: bool) -> None:
    """Check which tiers and probes work on this kernel, and print how to enable the rest.

    It prints the verdict: the tier that `umtrace record` uses, why no better one, what that does
    not see, and what would mend it.

    Each tier is attached for a moment and detached. The exit status is 0 if any tier works, 3 if
    a privilege is missing, else 4.
    """
    from umtrace.diagnosis import clean_up, diagnose, forget_programs
    from umtrace.present.doctor import doctor_text
    from umtrace.present.escaped import dumps
    from umtrace.present.terminal import write

    if paths and (clean or full):
        other = "--clean" if clean else "--full"
        raise click.UsageError(f"--paths only lists paths; leave out {other}")
    if paths:
        _list_paths(as_json=as_json)
        return
    if clean:
        for what in (forget_programs() + clean_up()) or ["nothing"]:
            write(f"Removed: {what}\n", sys.stderr)
    found = diagnose()
    findings = found.to_dict()
    text = dumps(findings, indent=2) + "\n" if as_json else doctor_text(findings, full=full)
    write(text, sys.stdout)
    ctx.exit(found.exit_code)


def _list_paths(*, as_json: bool) -> None:
    """Print the cgroups of nobody, for a report of what is missing; and why owners are missing."""
    from umtrace.present.escaped import dumps
    from umtrace.present.terminal import say, write
    from umtrace.runtimes.files import HostFiles
    from umtrace.runtimes.unknown import missing, unknown_paths

    files = HostFiles()
    found, lacks = unknown_paths(files), list(missing(files))
    if as_json:
        write(dumps({"paths": found, "missing": lacks}, indent=2) + "\n", sys.stdout)
        return
    for lack in lacks:
        say(lack)
    write("".join(f"{path}\n" for path in found), sys.stdout)
    if found:
        say("these cgroups are of no runtime or unit that umtrace knows; containers in them have")
        say("no owner: please report the paths with the runtime that made them")
    else:
        say("every cgroup is of a runtime or unit that umtrace knows")
