"""A click group that knows its commands by name and imports them on use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from umtrace.cli.first_page import all_commands
from umtrace.cli.mistakes import closest

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

#: options of every command that show its help
HELP_OPTIONS = ["-h", "--help"]


class Interrupted(BaseException):
    """Ctrl-C, past click."""


class Commands(click.Group):
    """A group that has the names of its commands, and imports one when it runs."""

    names: Mapping[str, str] = {}  #: command -> its line in the help

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order a user meets them."""
        del ctx
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        del ctx
        if cmd_name not in self.names:
            return None
        command: click.Command = import_module(self.module_of(cmd_name)).command
        # click keeps the first help option that it makes for a command.
        command.context_settings.setdefault("help_option_names", HELP_OPTIONS)
        return command

    def module_of(self, name: str) -> str:
        """Return the module whose ``command`` it is."""
        raise NotImplementedError

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C is ours to tell, since click prints an empty line for it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; `help COMMAND` is `COMMAND --help`, a typo gets a suggestion."""
        while args and args[0] == "help":
            args = [*args[1:], "--help"]
        name = args[0] if args else ""
        if name == "--help":
            click.echo(ctx.get_help())
            ctx.exit()
        if name not in self.names and not name.startswith("-"):
            ctx.fail(f"no such command '{name}'{closest(name, self.names)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command table from the names alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self.names.items()))


class LazyGroup(Commands):
    """Start-up stays instant: `--help` imports no command."""

    names = COMMANDS

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, which fits one screen."""
        del ctx
        return all_commands(COMMANDS)

    def module_of(self, name: str) -> str:
        """Return the module, which has another name where Python keeps that one."""
        return f"umtrace.cli.{name}_" if iskeyword(name) else f"umtrace.cli.{name}"
