"""A click group that knows its commands by name and imports them on use."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from keyword import iskeyword

import click

#: command -> one line for `umtrace --help`; the module is umtrace.cli.<command>, or <command>_
COMMANDS = {
    "doctor": "Check which tiers and probes work on this kernel.",
    "record": "Record umounts to a directory.",
    "trace": "Print one line per umount as it happens.",
    "report": "Print a summary: outcomes, latency, phases, RCU wait, EBUSY.",
    "hist": "Print a histogram of one phase.",
    "ebusy": "List EBUSY windows: real or spurious, the holder, the duration.",
    "teardowns": "List what went down together, and what its end waited for.",
    "why": "List what holds a mount or block device now.",
    "stuck": "List which umounts hang now, and what they wait for.",
    "export": "Export the umounts as CSV, JSON lines or a Perfetto trace.",
    "plot": "Draw a recording as PNG, SVG or PDF.",
    "html": "Write a recording as one self-contained HTML page.",
    "diff": "Compare two recordings: which phases became slower or faster.",
    "summarize": "Write the counts of recordings as small files, for a fleet.",
    "fleet": "Add up the summaries or recordings of many hosts.",
    "survey": "Print 20 lines on this host's umounts, to paste into a mail.",
    "whatif": "Simulate a recorded load under other designs of the RCU wait.",
    "import": "Convert a trace-cmd file or ftrace text to a recording.",
    "repair": "Finish a recording after its writer was killed.",
    "exercise": "Run known umounts in a private mount namespace and list them.",
    "selftest": "Record known umounts in each tier and compare every count.",
}


class LazyGroup(click.Group):
    """Start-up stays instant: `--help` imports no command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order a user meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        suffix = "_" if iskeyword(cmd_name) else ""
        module = import_module(f"umtrace.cli.{cmd_name}{suffix}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; `help COMMAND` is `COMMAND --help`, a typo gets a suggestion."""
        if args and args[0] == "help":
            args = [*args[1:2], "--help"]
        if len(args) == 1 and args[0] == "--help":
            click.echo(ctx.get_help())
            ctx.exit()
        name = args[0] if args else ""
        if name not in COMMANDS and (close := get_close_matches(name, COMMANDS)):
            ctx.fail(f"No such command '{name}'; did you mean {' or '.join(close)}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command table from the names alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
