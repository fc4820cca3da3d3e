"""`umtrace summarize`: recordings to small files of counts, for a fleet."""

from __future__ import annotations

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.options import Output, examples

_EPILOG = examples("umtrace summarize rec.umt -o summaries")


@click.command(epilog=_EPILOG)
@click.argument("recordings", metavar="DIR…", nargs=-1, required=True, type=RecordingPath())
@click.option(
    "-o",
    "--output",
    required=True,
    type=Output("summaries", as_path=False),
    metavar="DIR|URL",
    help="Write below DIR, or to object storage such as s3://bucket/summaries.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(recordings: tuple[str, ...], output: str, quiet: bool) -> int:
    """Write the counts of the recordings DIR as summaries, one file per host and hour.

    A summary has exact counts by kernel, tier, mode, origin and owner, and no path, task name or
    user name. The same recording gives the same files. `umtrace fleet report` adds them up.
    """
    from umtrace.cli.status import read_status
    from umtrace.fleet.file import encode
    from umtrace.fleet.storage import storage_of
    from umtrace.fleet.summarize import summaries_of
    from umtrace.present.terminal import complain, say
    from umtrace.present.units import plural
    from umtrace.recording import Recording

    storage = storage_of(output)
    storage.check()
    opened = []
    for path in recordings:
        recording = Recording.open(path)
        files = [(about, encode(about, cells)) for about, cells in summaries_of(recording)]
        for about, data in files:
            storage.put(about.place, data)
        complain(recording.problems)
        opened.append(recording)
        if not quiet:
            size, rows = sum(len(data) for _, data in files), sum(a.rows for a, _ in files)
            what = f"{plural(rows, 'umount')} in {plural(len(files), 'summary', 'summaries')}"
            say(f"{path}: {what} ({size:,} bytes) below {output}")
    return read_status(*opened)
