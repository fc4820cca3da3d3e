"""`umtrace fleet`: many hosts at once."""

from __future__ import annotations

from importlib import import_module

import click

from umtrace.cli.options import examples

_COMMANDS = {
    "report": "Print what hosts come to: latency, coverage, owners, outliers.",
    "diff": "Compare two kernels, weeks or sets of hosts.",
    "plot": "Draw the hosts as PNG, SVG or PDF.",
    "html": "Write the hosts as one self-contained HTML page.",
}
_EPILOG = examples(
    "umtrace summarize rec.umt -o summaries && umtrace fleet report summaries",
    "umtrace fleet report rec.umt before.umt after.umt --by kernel,mode",
)


class _Fleet(click.Group):
    """Imports a command when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"{__package__}.fleet_{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands from their names alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group("fleet", cls=_Fleet, epilog=_EPILOG)
def command() -> None:
    """Add up the summaries or recordings of many hosts.

    DIR|URL is a folder of summaries, of recordings, or of both, or a URL such as s3://bucket/fleet.
    What cannot be read is a line of the report, and the rest is counted.
    """
