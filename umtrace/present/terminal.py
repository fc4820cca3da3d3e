"""Text on its way to a terminal, a pipe or a file, in whatever it can show."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from umtrace.present.wrapping import wrap

if TYPE_CHECKING:
    from rich.console import RenderableType

#: width of everything that is not written to a terminal
WIDTH = 80
_WIDEST = 120

_BLOCKS = "▏▎▍▌▋▊▉█"
_ASCII = str.maketrans(
    {
        **dict.fromkeys(_BLOCKS[3:], "#"),
        **dict.fromkeys(_BLOCKS[:3], " "),
        "µ": "u",
        "─": "-",
        "·": ",",
        "…": "~",
    }
)


def clean(text: str) -> str:
    """Return text from outside (a task name, a path) without control characters."""
    return "".join(char if char.isprintable() else "?" for char in text)


def visible(text: str) -> str:
    """Return lines of our own, in which something from outside may be left, as `clean`."""
    return "\n".join(clean(line) for line in text.split("\n"))


def bar(part: float, width: int) -> str:
    """Return a bar for a fraction of 1, in eighths of a character.

    What is above zero shows: the least is one eighth.
    """
    eighths = round(min(max(part, 0.0), 1.0) * width * 8)
    if part > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BLOCKS[rest - 1] if rest else "")


def render(parts: Iterable[RenderableType], width: int = WIDTH) -> str:
    """Return renderables as plain text: no colour, no trailing blanks."""
    from rich.console import Console  # noqa: PLC0415 - not for a line of text

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        color_system=None,
        force_terminal=False,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for part in parts:
        console.print(part)
    lines = (line.rstrip() for line in buffer.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def width_of(stream: TextIO) -> int:
    """Return how wide text for this stream may be, 80 to 120; 80 if it is no terminal."""
    if not stream.isatty():
        return WIDTH
    from rich.console import Console  # noqa: PLC0415 - as above

    columns = Console(file=stream).size.width
    return min(max(columns, WIDTH), _WIDEST)


def encodable(text: str, encoding: str | None) -> str:
    """Return the text, in ASCII characters of the same width if it must be.

    Parameters
    ----------
    encoding : str or None
        That of the stream; None counts as ASCII.
    """
    target = encoding or "ascii"
    try:
        text.encode(target)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(target, "replace").decode(target)
    return text


def write(text: str, stream: TextIO) -> None:
    """Write text as well as the stream's encoding can show it; no control character passes."""
    stream.write(encodable(visible(text), stream.encoding))


def say(text: str) -> None:
    """Write one line to stderr, from whatever others called their files."""
    write(f"umtrace: {clean(text)}\n", sys.stderr)


def say_wrapped(text: str) -> None:
    """Write a sentence to stderr: one line, or as many as a terminal of 80 columns needs."""
    line = clean(f"umtrace: {text}")
    lines = wrap(line, WIDTH, subsequent_indent="  ") if sys.stderr.isatty() else [line]
    write("".join(f"{each}\n" for each in lines), sys.stderr)


def say_written(path: str) -> None:
    """Name a file that was written, to who watches; a pipe or a script has the exit status."""
    if path != "-" and sys.stderr.isatty():
        say(f"wrote {path}")


def complain(problems: Iterable[str]) -> None:
    """Write problems to stderr, for formats that have no place for them."""
    for problem in problems:
        say(problem)
