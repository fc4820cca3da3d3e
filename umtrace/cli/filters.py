"""The filter options that all commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from umtrace.cli.complete import errnos, fstypes, keys, one_of, several_of
from umtrace.cli.options import Command, Count, as_one
from umtrace.model.errors import UsageError
from umtrace.model.kinds import ORIGINS
from umtrace.stats.filters import MODES, RowFilter, parse_duration, parse_errno

_LAST_CGROUP = 2**64 - 1
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def _parsed(parse: Callable[[str], int]) -> Callable[..., Any]:
    """Return a click callback that reads one value or several; a bad one is a usage error."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(parse(text) for text in value)
            return None if value is None else parse(value)
        except UsageError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def _cgroup(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _LAST_CGROUP:
        return int(text)
    below = text.removeprefix(str(_CGROUP_ROOT)).lstrip("/")
    try:
        # The id of a cgroup v2 is the inode number of its directory.
        return (_CGROUP_ROOT / below).stat().st_ino
    except OSError as error:
        problem = f"'{text}' is no cgroup id and no directory below {_CGROUP_ROOT}"
        raise UsageError(problem) from error


_PID = Count(min=0, max=2**31 - 1)
_INODE = Count(min=0, max=2**32 - 1)
#: An option given twice matches either value; different options must all match.
filter_options = as_one(
    "row_filter",
    RowFilter,
    click.option("--pid", type=_PID, metavar="PID", multiple=True, help="Select by process id."),
    click.option(
        "--comm", multiple=True, metavar="GLOB", help="Select by task name, such as 'runc*'."
    ),
    click.option(
        "--cgroup",
        metavar="ID|PATH",
        callback=_parsed(_cgroup),
        multiple=True,
        help="Select by cgroup v2, an id or a path.",
    ),
    click.option(
        "--container",
        multiple=True,
        metavar="NAME|ID",
        help="Select by the container that owns the mount: its name, its id, the beginning of "
        "that, or a pattern such as 'web*'.",
    ),
    click.option(
        "--owner",
        multiple=True,
        metavar="GLOB",
        help="Select by the owner of the mount, as --by owner.",
    ),
    click.option(
        "--pod",
        multiple=True,
        metavar="GLOB",
        help="Select by pod, NAMESPACE/NAME or NAME, such as 'shop/*'.",
    ),
    click.option(
        "--unit",
        multiple=True,
        metavar="GLOB",
        help="Select by systemd unit, of the mount or of who unmounted, such as 'docker.service'.",
    ),
    click.option("--image", multiple=True, metavar="GLOB", help="Select by the container's image."),
    click.option(
        "--only-command",
        "by_command",
        flag_value=True,
        type=bool,
        default=None,
        callback=lambda _ctx, _param, value: (True,) if value else (),
        help="Select what COMMAND of `record -- COMMAND` unmounted, with its descendants.",
    ),
    click.option(
        "--mntns",
        type=_INODE,
        metavar="INODE",
        multiple=True,
        help="Select by mount namespace, an inode number.",
    ),
    click.option(
        "--fstype",
        shell_complete=one_of(fstypes),
        multiple=True,
        metavar="GLOB",
        help="Select by file system type, such as 'fuse*'.",
    ),
    click.option(
        "--mode",
        type=click.Choice(MODES),
        multiple=True,
        help="Select sync umounts, or lazy ones (MNT_DETACH).",
    ),
    click.option(
        "--origin",
        type=click.Choice(ORIGINS),
        metavar="ORIGIN",
        multiple=True,
        help="Select by what unmounted, such as umount or ns-exit. mount-internal is hidden unless "
        "selected.",
    ),
    click.option(
        "--min-latency",
        "min_latency_ns",
        metavar="TIME",
        callback=_parsed(parse_duration),
        help="Select umounts that took at least TIME, such as 250us or 1ms.",
    ),
    click.option(
        "--errno",
        shell_complete=one_of(errnos),
        metavar="ERRNO",
        callback=_parsed(parse_errno),
        multiple=True,
        help="Select by result: EBUSY, 16, or ok.",
    ),
)
#: a reference that is gone within this time counts as that of a path walk
spurious_option = click.option(
    "--spurious-within",
    "spurious_within_ns",
    metavar="TIME",
    default="10ms",
    show_default=True,
    callback=_parsed(parse_duration),
    help="Class an EBUSY as spurious if its cause is gone within TIME.",
)
#: the same for a recording, which stores the threshold it was classed by
judged_option = click.option(
    "--spurious-within",
    "spurious_within_ns",
    metavar="TIME",
    callback=_parsed(parse_duration),
    help="Class an EBUSY as spurious if its cause is gone within TIME.  [default: as recorded]",
)
#: umounts of one owner belong together unless there is a longer pause between them
gap_option = click.option(
    "--gap",
    "gap_ns",
    metavar="TIME",
    default="1s",
    show_default=True,
    callback=_parsed(parse_duration),
    help="Take umounts of one owner for one teardown unless a pause of more than TIME is between.",
)


def by_option(what: str) -> Callable[[Command], Command]:
    """Return the option of what groups rows; ``what`` says what a group becomes."""
    return click.option(
        "--by",
        default="mode",
        show_default=True,
        metavar="KEY,…",
        shell_complete=several_of(keys),
        help=what,
    )


def key_list(text: str) -> list[str]:
    """Return the keys of a ``--by`` option: `fstype,mode`, or `none`; checked later."""
    return [] if text == "none" else [key.strip() for key in text.split(",")]
