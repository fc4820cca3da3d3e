"""`umtrace report`: the summary of a recording."""

from __future__ import annotations

import sys
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import by_option, filter_options, key_list
from umtrace.cli.options import examples, one_format
from umtrace.cli.status import read_status
from umtrace.present import sections
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.present.report.section import Report
    from umtrace.recording import Recording

_FORMATS = ("table", "json", "csv", "markdown")
_SECTIONS = sorted(module.name for module in iter_modules(sections.__path__))
_EPILOG = examples(
    "umtrace report rec.umt --by fstype,mode --min-latency 1ms", "umtrace report rec.umt --full"
)


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=RecordingPath())
@by_option("Group by these columns, or none.")
@click.option(
    "--format",
    "style",
    type=click.Choice(_FORMATS),
    help="Write this format. CSV has one table per section, the groups first.  [default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, as --format json does.")
@click.option(
    "--section",
    "names",
    type=click.Choice(_SECTIONS),
    multiple=True,
    help="Write only this section. Give it twice for two sections.",
)
@click.option("--full", is_flag=True, help="Print all of it, not a screen of 24 lines.")
@filter_options
def command(
    recording: str,
    by: str,
    style: str | None,
    as_json: bool,
    names: tuple[str, ...],
    full: bool,
    row_filter: RowFilter,
) -> int:
    """Print a summary of the recording DIR: outcomes, latency and phases, RCU wait, EBUSY windows.

    It fits a screen of 24 lines; --full, --section and other formats print all.

    KEY is one or more of mode, fstype, comm, origin, errno, tier, final_put, rcu_kind, mntns,
    latency_bound, lock_holder_comm, lock_holder_op; of the owner of the mount: owner,
    owner_kind, owner_by, container, container_name, pod, image, unit, runtime; of who unmounted it:
    actor_unit, actor_container, actor_runtime, by_command.
    """
    from umtrace.present.terminal import complain, write
    from umtrace.recording import Recording

    style = _chosen_style(style, as_json=as_json, full=full or bool(names))
    opened = Recording.open(recording)
    report = _report_of(opened, by, row_filter).only(names)
    if style == "csv":
        complain(report.heading.problems)
    write(_written(report, style), sys.stdout)
    return read_status(opened)


def _report_of(opened: Recording, by: str, row_filter: RowFilter) -> Report:
    from umtrace.present.heading import heading_of
    from umtrace.query.selection import Selection
    from umtrace.report_contents import gather, report_of

    chosen = Selection(opened, row_filter)
    found, unknown = gather(chosen, key_list(by)), chosen.unknown()
    return report_of(found, heading_of(opened, row_filter.describe(), unknown))


def _chosen_style(style: str | None, *, as_json: bool, full: bool) -> str:
    chosen = one_format(style, as_json=as_json, default="table")
    return "short" if chosen == "table" and not full else chosen


def _written(report: Report, style: str) -> str:
    if style == "json":
        from umtrace.present.report.as_json import report_json

        return report_json(report)
    if style == "csv":
        from umtrace.present.report.as_csv import report_csv

        return report_csv(report)
    if style == "markdown":
        from umtrace.present.report.as_markdown import report_markdown

        return report_markdown(report)
    if style == "short":
        from umtrace.present.report.short import short_text

        return short_text(report)
    from umtrace.present.report.as_text import report_text
    from umtrace.present.terminal import width_of

    return report_text(report, width_of(sys.stdout))
