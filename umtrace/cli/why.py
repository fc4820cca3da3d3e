"""`umtrace why`: who keeps a mount busy right now."""

from __future__ import annotations

import os
import sys

import click

from umtrace.cli.mistakes import os_text
from umtrace.cli.options import examples
from umtrace.model.activity import NOW

#: beside the codes of every command, 1 to 5, which mean that there is no answer
EXIT_CODES = {
    "free": 0,
    "transient": 10,
    "held": 11,
    "claimed": 11,
    "open": 11,
    "superblock": 12,
    "unknown": 13,
    "nobody-seen": 14,
}


class _Untouched(click.Path):
    """A path of which click does not ask stat(2): its server may never answer."""

    def convert(self, value: object, *_: object) -> str:
        return str(value)


_EPILOG = examples(
    "umtrace why /mnt", "umtrace why --ask-kernel /mnt; case $? in 0|10|12) umount /mnt;; esac"
)


@click.command("why", epilog=_EPILOG)
@click.argument("path", type=_Untouched())
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--all", "whole", is_flag=True, help="List every holder with its full path.")
@click.option(
    "--ask-kernel", is_flag=True, help="Test with a system call whether PATH is busy; see above."
)
def command(path: str, as_json: bool, whole: bool, ask_kernel: bool) -> int:
    """List what holds PATH now: a mount point, a block device, or the mounts below a directory.

    The command reads the open files of all processes, swap, loop devices, overlay layers, NFS
    exports, other files of the kernel, the devices stacked on a device, and the mounts of every
    mount namespace. It unmounts nothing. It opens the mount table of one process per namespace
    for a moment, so do not run it in a loop.

    No program sees every holder. --ask-kernel makes one system call to test it. For a mount this
    is umount2(MNT_EXPIRE); it unmounts nothing unless another program makes the same call at the
    same time. For a device it is an open with O_EXCL, which claims the device for that moment.
    docs/why.md gives the cost of each.

    \b
    Exit status:
       0  free: the kernel confirms it (--ask-kernel only)
      10  transient: a path walk or a short open; retry
      11  held: a holder seen, or the kernel says busy; a device: claimed or open
      12  no holder of the mount, but its file system stays in use
      13  unknown: no holder was seen, but too much could not be read; run as root
      14  no holder was seen; the kernel was not asked
    1 to 5 are errors, as for every command.
    """  # noqa: D301
    from umtrace.holders.busy_query import BusyQuery
    from umtrace.model.errors import UsageError
    from umtrace.present.terminal import write
    from umtrace.present.why import why_json, why_lines

    NOW.note("reading what the processes of this host have open")
    try:
        answer = BusyQuery(path, ask_kernel=ask_kernel).answer()
    except OSError as error:
        error.filename = error.filename or path
        raise UsageError(os_text(error)) from error
    code = EXIT_CODES[answer.state]
    if as_json:
        write(why_json(answer, code), sys.stdout)
    else:
        write("".join(line + "\n" for line in why_lines(answer, whole=whole)), sys.stdout)
        if os.geteuid() != 0 and answer.blind:
            click.echo("umtrace: most processes cannot be read without root; use sudo", err=True)
    return code
