"""`umtrace why`: who keeps a mount busy right now."""

from __future__ import annotations

import os
import sys

import click

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


@click.command(
    "why",
    epilog="Example: umtrace why --ask-kernel /mnt; case $? in 0|10|12) umount /mnt;; esac",
)
@click.argument("path", type=_Untouched())
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.option("--all", "whole", is_flag=True, help="Every holder, with its whole path.")
@click.option("--ask-kernel", is_flag=True, help="Ask the kernel as well; see above.")
def command(path: str, as_json: bool, whole: bool, ask_kernel: bool) -> int:
    """Say who keeps PATH busy: a mount point, a block device, or what is below a directory.

    Looks at what all processes have open, at swap, loop devices, overlay layers, exports and other
    files of the kernel, at what is stacked on a device, and at the mounts of every mount
    namespace. It umounts nothing. It reads the mount table of one process per namespace, for a
    moment: not for a loop.

    No program sees every holder. --ask-kernel asks the kernel as well, once: a mount by
    umount2(MNT_EXPIRE), which unmounts nothing unless another program does the same in the same
    moment; a device by opening it with O_EXCL, which claims it for that moment. docs/why.md
    has the price of each.

    \b
    Exit status:
       0  a mount is free, says the kernel (--ask-kernel only)
      10  transient: somebody passed by; a retry would do
      11  held: somebody was seen, or the kernel says busy; a device: claimed, or open
      12  nobody was seen to hold it, but its file system stays in use
      13  unknown: nobody was seen, but too much could not be looked at: use root
      14  nobody was seen, and the kernel was not asked
    1 to 5 are errors, as for every command.
    """  # noqa: D301
    from umtrace.holders.inquiry import Inquiry
    from umtrace.present.terminal import write
    from umtrace.present.why import why_json, why_lines
    from umtrace.records.errors import UsageError

    try:
        answer = Inquiry(path, ask_kernel=ask_kernel).answer()
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror}") from error
    code = EXIT_CODES[answer.state]
    if as_json:
        write(why_json(answer, code), sys.stdout)
    else:
        write("".join(line + "\n" for line in why_lines(answer, whole=whole)), sys.stdout)
        if os.geteuid() != 0 and answer.blind:
            click.echo("umtrace: without root most processes cannot be looked at: sudo", err=True)
    return code
