"""What the command line says of a wrong call: one line, the same words for the same mistake."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from difflib import get_close_matches

import click

_LIKE = 0.7  # of two words, from 0 to 1; at 0.6 `--sectoin` is like `--json`

_OS_ERRORS = {
    errno.ENOENT: "no such file or directory",
    errno.EACCES: "permission denied",
    errno.ENOSPC: "no space left on the device; free some or choose another directory",
    errno.EDQUOT: "disk quota exceeded; free some or choose another directory",
    errno.EMFILE: "too many open files in this process; raise the limit with ulimit -n",
    errno.ENFILE: "too many open files on this host; raise sysctl fs.file-max",
    errno.EROFS: "the file system is read-only; choose another directory",
}


def closest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word that is most like this one; else nothing."""
    lower = {each.lower(): each for each in known}
    found = get_close_matches(word.lower(), lower, 1, _LIKE)
    return f"; did you mean {lower[found[0]]}?" if found else ""


def usage_text(error: click.ClickException) -> str:
    """Return the line for a mistake that click found, and where to read on."""
    text = _of_option(error) if isinstance(error, click.NoSuchOption) else _of_any(error)
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None:
        text += f" (see '{context.command_path} --help')"
    return text


def os_text(error: OSError) -> str:
    """Return the line for what the system refused."""
    what = _OS_ERRORS.get(error.errno or 0, error.strerror or str(error))
    if error.errno == errno.EACCES and error.strerror != "Permission denied":
        what = error.strerror or what  # one of ours, which says what to do
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if error.errno == errno.ENOENT and where.startswith("/proc/") and not _proc_is_there():
        return "/proc is not mounted here: mount -t proc proc /proc"
    return f"{error.filename}: {what}" if error.filename else what


def _proc_is_there() -> bool:
    return os.path.exists("/proc/self/stat")  # noqa: PTH110 - light


def _of_option(error: click.NoSuchOption) -> str:
    """Name the one option that is alike; click's own words depend on its version."""
    known: list[str] = []
    if error.ctx is not None:
        parameters = error.ctx.command.get_params(error.ctx)
        known = [name for each in parameters for name in each.opts if name.startswith("--")]
    return f"no such option '{error.option_name}'{closest(error.option_name, known)}"


def _of_any(error: click.ClickException) -> str:
    text = error.format_message().removesuffix(".")
    text = text[:1].lower() + text[1:]
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Parameter):
        return text + _of_choice(error.message, error.param.type)
    return text


def _of_choice(message: str, kind: object) -> str:
    """Name the choice that is alike; the value stands first in the message, quoted."""
    if not isinstance(kind, click.Choice):
        return ""
    return closest(message.split("'")[1] if "'" in message else "", map(str, kind.choices))
