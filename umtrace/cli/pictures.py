"""Imports matplotlib so that it takes nothing from where others may write.

It reads a ``matplotlibrc`` of the working directory before any other, and reads and writes a
folder below HOME, which sudo may leave to the user who called it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from umtrace.cli.options import Count
from umtrace.model.activity import NOW

_FOLDER = "MPLCONFIGDIR"
_LEAST_DPI, _MOST_DPI = 30, 1200
_Command = TypeVar("_Command", bound=Callable[..., Any])


class Size(click.ParamType):  # type: ignore[type-arg] # generic in click 8.3 only
    """A width and a height in inches, `8x4.5`."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Return both; BadParameter where they are no size."""
        if isinstance(value, tuple):
            return value
        try:
            width, height = map(float, str(value).lower().split("x"))
        except ValueError:
            self.fail(f"{value!r} is no size; give inches as 8x4.5", param, ctx)
        if not (1 <= width <= 100 and 1 <= height <= 100):  # noqa: PLR2004  inches
            self.fail(f"{value!r}: each side is from 1 to 100 inches", param, ctx)
        return width, height


def picture_options(command: _Command) -> _Command:
    """Add --size and --dpi to a command, as ``size`` and ``dpi``; None is the default."""
    size = click.option(
        "--size", type=Size(), metavar="WxH", help="Width and height of a picture in inches."
    )
    dots = Count(_LEAST_DPI, _MOST_DPI)
    dpi = click.option("--dpi", type=dots, metavar="N", help="Dots per inch of an image.")
    return size(dpi(command))


def import_matplotlib() -> None:
    """Import it; later imports find it as it is now."""
    if os.geteuid() == 0 and not _is_roots(os.environ.get(_FOLDER)):
        os.environ[_FOLDER] = _of_root() or _for_now()
    NOW.note("loading matplotlib")
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir("/")
    try:
        import_module("matplotlib")
    finally:
        os.fchdir(here)
        os.close(here)


def _is_roots(folder: str | os.PathLike[str] | None) -> bool:
    if not folder:
        return False
    try:
        found = Path(folder).lstat()
    except OSError:
        return False
    return found.st_uid == 0 and not found.st_mode & 0o022


def _of_root() -> str | None:
    """Return root's own folder, whatever sudo left in HOME; None where it has none."""
    from umtrace.sources.bpf.program_cache import ProgramCache

    kept = ProgramCache.of_this_user().folder
    if kept is None:
        return None
    folder = kept / "matplotlib"
    with suppress(OSError):
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder) if _is_roots(kept) and _is_roots(folder) else None


def _for_now() -> str:
    folder = tempfile.mkdtemp(prefix="umtrace-matplotlib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
