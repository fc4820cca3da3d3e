"""Texts for `import`: lines of real traces, lost, doubled, swapped, with odd numbers and bytes."""

from __future__ import annotations

import random
import re
import zipfile
from functools import cache
from pathlib import Path

from tests.fuzz.streams import check
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.errors import UmtraceError
from umtrace.sources.ftrace.text import TextSource

_FIXTURES = Path(__file__).parents[1] / "sources" / "ftrace" / "fixtures" / "trace-cmd-6.12.zip"
_NUMBER = re.compile(r"-?\d+")
_ODD = (
    *("010", "-1", "0", "0x", "0xffffffffffffffff", "9" * 19, "9" * 5000, "1e9", "٣", "", "-0"),
    *("2147483648", "4294967296", "18446744073709551615", "0b1", "1_000", " "),
)
_LINES = 40


@cache
def pool() -> list[list[str]]:
    """Return the lines of some real traces."""
    with zipfile.ZipFile(_FIXTURES) as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        return [archive.read(name).decode().splitlines() for name in names]


def one_text(rng: random.Random) -> bytes:
    """Return a mutated trace: an input."""
    whole = rng.choice(pool())
    at = rng.randrange(max(len(whole) - _LINES, 1))
    lines = whole[at : at + _LINES]
    for _ in range(rng.choice((1, 2, 4, 8))):
        place = rng.randrange(len(lines))
        lines[place : place + 1] = rng.choice(_MUTATIONS)(rng, lines[place], lines)
        lines = lines or [""]
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    if rng.random() < 0.1:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.randbytes(rng.randrange(8)) + text[at:]
    return text


def _number(rng, line, _lines):
    found = list(_NUMBER.finditer(line))
    if not found:
        return [line]
    match = rng.choice(found)
    return [line[: match.start()] + rng.choice(_ODD) + line[match.end() :]]


def _drop(_rng, _line, _lines):
    return []


def _double(_rng, line, _lines):
    return [line, line]


def _other(rng, line, lines):
    return [rng.choice(lines), line]


def _cut(rng, line, _lines):
    return [line[: rng.randrange(len(line) + 1)]]


def _name(rng, line, _lines):
    words = ("cleanup_mnt", "path_umount", "namespace_unlock", "umount_tree", "sys_exit_umount")
    return [line.replace(rng.choice(words), rng.choice(words))]


_MUTATIONS = (_number, _number, _number, _drop, _double, _other, _cut, _name)


def run(rng: random.Random, folder: Path) -> None:
    """Import one input as far as its rows; raises where anything is wrong."""
    path = folder / "trace.txt"
    path.write_bytes(one_text(rng))
    source = TextSource(path)
    try:
        source.open()
        correlator = UmountCorrelator(clock_offset_ns=0, tier=source.tier)
        while (batch := source.read(0)) is not None:
            check(correlator.feed(batch))
        check(correlator.finish())
        source.losses()
    except UmtraceError as error:
        assert "\n" not in str(error)  # noqa: PT017 - any of them will do
    finally:
        source.close()
