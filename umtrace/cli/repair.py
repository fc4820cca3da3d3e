"""`umtrace repair`: finish a recording that was cut short."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from umtrace.recording.repair import RepairReport


@click.command()
@click.argument("recording", metavar="DIR", type=click.Path(path_type=Path, readable=False))
def command(recording: Path) -> int:
    """Finish the recording DIR, whose writer was killed or ran out of disk.

    Everything readable is kept; what is not is said, and set aside as *.damaged.
    A recording that needs nothing is left alone. The exit status is 5 where rows that had
    been recorded are missing or cannot be read.

    \b
    Example:
      umtrace repair rec.umt && umtrace report rec.umt
    """  # noqa: D301
    from umtrace.pipeline.offline import repair
    from umtrace.present.terminal import clean, write
    from umtrace.records.errors import DamagedInputError

    report = repair(recording)
    for line in _summary(report):
        write(clean(line) + "\n", sys.stdout)
    return DamagedInputError.exit_code if report.damaged or report.missing else 0


def _summary(report: RepairReport) -> list[str]:
    if not report.changed:
        found = ["nothing that a repair could do", *report.missing]
        return [f"{report.path}: {'; '.join(found) if report.missing else 'nothing to repair'}"]
    lines = [f"{report.path}: repaired, {report.rows_kept} rows saved from open chunks"]
    if report.rows_rebuilt is not None:
        lines.append(f"  {report.rows_rebuilt} umount rows worked out again from the events")
    return lines + [f"  {note}" for note in (*report.notes, *report.missing)]
