"""`umtrace teardowns`: what went down together, and what its end waited for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import filter_options, gap_option
from umtrace.cli.options import examples
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.query.selection import Selection

_EPILOG = examples("umtrace teardowns rec.umt", "umtrace teardowns rec.umt 1")
_MOST = 8
_MOST_SHOWN = 3


@click.command("teardowns", epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=RecordingPath(path_type=Path))
@click.argument("wanted", metavar="[OWNER]", required=False)
@gap_option
@click.option("--all", "whole", is_flag=True, help="List all of them, not the longest.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@filter_options
def command(
    recording: Path,
    wanted: str | None,
    gap_ns: int,
    whole: bool,
    as_json: bool,
    row_filter: RowFilter,
) -> int:
    """List the teardowns of the recording DIR: umounts of one owner that belong together.

    With OWNER, the begin of an owner's name or the number of a teardown, print its timeline: what
    the end waited for, and who waited for the namespace lock behind whom. docs/teardowns.md
    defines the terms.
    """
    from umtrace.present.terminal import complain
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording

    opened = Recording.open(recording)
    chosen = Selection(opened, row_filter)
    complain(chosen.unknown())
    if as_json:
        _print_json(chosen, wanted, gap_ns)
    elif wanted is None:
        _print_list(chosen, gap_ns, whole=whole)
    else:
        _print_timelines(chosen, wanted, gap_ns, whole=whole)
    complain(opened.problems)
    return read_status(opened)


def _print_list(chosen: Selection, gap_ns: int, *, whole: bool) -> None:
    from umtrace.present.teardowns import left_out, teardowns_text
    from umtrace.present.terminal import complain, write
    from umtrace.query.teardowns import Teardowns, each_teardown
    from umtrace.teardowns import Collector

    if whole:
        collector = Collector(gap_ns)
        every = list(enumerate(each_teardown(chosen, gap_ns, collector), 1))
        every.sort(key=lambda item: item[1].begin - item[1].end)
        write(teardowns_text(every, len(every)), sys.stdout)
        complain(left_out(collector))
        return
    found = Teardowns(_MOST, gap_ns)
    for rows in chosen.batches(found.columns):
        found.add(rows)
    found.finish()
    write(teardowns_text(found.longest(chosen), found.count), sys.stdout)
    complain(left_out(found.counting))


def _print_json(chosen: Selection, owner: str | None, gap_ns: int) -> None:
    from umtrace.present.teardowns import left_out, teardowns_json
    from umtrace.present.terminal import complain, write
    from umtrace.query.teardowns import each_teardown, matching
    from umtrace.teardowns import Collector

    collector = Collector(gap_ns)
    numbered = (
        enumerate(each_teardown(chosen, gap_ns, collector), 1)
        if owner is None
        else matching(chosen, owner, gap_ns)
    )
    for part in teardowns_json(numbered):
        write(part, sys.stdout)
    complain(left_out(collector))


def _print_timelines(chosen: Selection, owner: str, gap_ns: int, *, whole: bool) -> None:
    from umtrace.present.terminal import write
    from umtrace.present.timeline import timeline_text
    from umtrace.present.units import plural
    from umtrace.present.waited import sees_holders
    from umtrace.query.teardowns import matching

    found = matching(chosen, owner, gap_ns)
    if not found:
        raise click.UsageError(f"no teardown of '{owner}': `umtrace teardowns DIR` lists them")
    meta = chosen.recording.meta
    seen = sees_holders(meta.tier, meta.format)
    shown = found if whole else found[:_MOST_SHOWN]
    for place, (number, each) in enumerate(shown):
        lines = timeline_text(each, number, seen=seen, whole=whole)
        text = "".join(f"{line}\n" for line in lines)
        write(("\n" if place else "") + text, sys.stdout)
    if len(found) > len(shown):
        numbers = ", ".join(str(number) for number, _ in found[len(shown) :][:_MOST])
        more = plural(len(found) - len(shown), "teardown")
        write(f"\nand {more} more: --all, or its number ({numbers})\n", sys.stdout)
