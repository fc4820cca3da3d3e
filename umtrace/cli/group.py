"""A click group that knows its commands by name and imports them on use."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from keyword import iskeyword

import click

#: command -> one line for `umtrace --help`; the module is umtrace.cli.<command>, or <command>_
COMMANDS = {
    "doctor": "What this kernel offers, the probe plan, and what would mend it.",
    "record": "Record umounts until Ctrl-C, a duration, or a command's end.",
    "trace": "Print one line per umount as it happens.",
    "report": "Summarise a recording: counts, errno, quantiles, RCU share.",
    "hist": "Histogram bars of a phase, in the terminal.",
    "ebusy": "EBUSY windows: was it really busy, who made it so, for how long.",
    "why": "Who keeps a mount busy right now, in every namespace.",
    "export": "Write a recording's rows as CSV, JSON lines or a Perfetto trace.",
    "plot": "Draw a recording as a picture.",
    "html": "One self-contained page: summary, pictures, worst umounts, EBUSY.",
    "diff": "Two recordings: what became slower or faster, with intervals.",
    "import": "Make a recording of a trace-cmd file or of ftrace text.",
    "repair": "Finish a recording that was cut short.",
    "exercise": "Do real umounts in a private mount namespace, and say which.",
    "selftest": "Record the exercise and compare it with its ledger, count by count.",
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
