"""`umtrace repair`: finish a recording that was cut short."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.options import examples

if TYPE_CHECKING:
    from umtrace.recording.repair import RepairReport


@click.command(epilog=examples("umtrace repair rec.umt && umtrace report rec.umt"))
@click.argument("recording", metavar="DIR", type=RecordingPath(path_type=Path, readable=False))
def command(recording: Path) -> int:
    """Finish the recording DIR after its writer was killed or ran out of disk.

    All readable rows stay. A chunk that cannot be read is reported and renamed to *.damaged. A
    complete recording is not changed. The exit status is 5 if recorded rows are missing or cannot
    be read.
    """
    from umtrace.model.errors import DamagedInputError
    from umtrace.pipeline.offline import repair
    from umtrace.present.terminal import clean, write

    report = repair(recording)
    for line in _summary(report):
        write(clean(line) + "\n", sys.stdout)
    return DamagedInputError.exit_code if report.damaged or report.missing else 0


def _summary(report: RepairReport) -> list[str]:
    if not report.changed:
        found = ["repair cannot restore this", *report.missing]
        return [f"{report.path}: {'; '.join(found) if report.missing else 'nothing to repair'}"]
    lines = [f"{report.path}: repaired, {report.rows_kept} rows saved from open chunks"]
    if report.rows_rebuilt is not None:
        lines.append(f"  {report.rows_rebuilt} umount rows rebuilt from the events")
    return lines + [f"  {note}" for note in (*report.notes, *report.missing)]
