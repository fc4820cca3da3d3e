"""`umtrace fleet`: many hosts at once."""

from __future__ import annotations

import click

from umtrace.cli.group import Commands
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


class _Fleet(Commands):
    """Imports a command when it runs."""

    names = _COMMANDS

    def module_of(self, name: str) -> str:
        """Return the module."""
        return f"{__package__}.fleet_{name}"


@click.group("fleet", cls=_Fleet, epilog=_EPILOG)
def command() -> None:
    """Add up the summaries or recordings of many hosts.

    DIR|URL is a folder of summaries, of recordings, or of both, or a URL such as s3://bucket/fleet.
    What cannot be read is a line of the report, and the rest is counted.
    """
