"""Surveys out of mails: read again, and put into one table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from umtrace.model.errors import DamagedInputError
from umtrace.present.units import percent, plural
from umtrace.present.wrapping import wrap
from umtrace.survey.bounded import NUMBER, number, read_number
from umtrace.survey.share import share_interval
from umtrace.survey.text import COLUMNS, FORMAT

_TITLE = re.compile(r"umtrace survey (\d{1,3}), umtrace [0-9A-Za-z.+]{1,16}")
_KERNEL = re.compile(
    r"([0-9.]{1,14}|unknown)(?: \(([A-Za-z ]{1,24})\))?, ([A-Z_a-z -]{1,20}), (\S.*)"
)
_TIER = re.compile(r"tier ([a-z-]{1,16})")
_UMOUNTS = re.compile(rf"({NUMBER}):")
_FREE = re.compile(rf"({NUMBER}) of ({NUMBER}) umounts had no victim")
_RCU = re.compile(r"p50 (\d[\d.]{0,5} (?:ns|us|ms|s))")
_QUOTED = re.compile(r"^(?:[>|] ?)+")
_LINE = re.compile(r"([A-Za-z]+(?: [a-z]+)?) {1,13}(\S.*)")
_MOST = 10_000
_UNKNOWN = "-: no umount there, not seen in that tier, or not recorded"
_HEAD = ("kernel", "preempt", "CPUs", "tier", "umounts", "not held", "RCU p50")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a table needs of a survey; None is not known."""

    kernel: str
    preempt: str
    cpus: str
    tier: str
    umounts: int
    free: int | None
    known: int | None
    rcu_p50: str | None


def read_surveys(text: str, name: str) -> list[Read]:
    """Return the surveys in a text, such as a mail that quotes some.

    Parameters
    ----------
    name : str
        Of the file, for messages.

    Raises
    ------
    DamagedInputError
        There is none, more than 10,000, or one that is incomplete or of a newer format.
    """
    blocks: list[list[str]] = []
    for raw in text.splitlines():
        line = _QUOTED.sub("", raw.rstrip())
        if title := _TITLE.fullmatch(line.strip()):
            if int(title[1]) > FORMAT:
                raise DamagedInputError(f"{name}: a survey of a newer umtrace; update umtrace")
            blocks.append([])
        elif blocks and line.strip():
            blocks[-1].append(line.strip())
    if not blocks:
        raise DamagedInputError(f"{name}: no survey in it; save what `umtrace survey` printed")
    if len(blocks) > _MOST:
        raise DamagedInputError(f"{name}: more than {_MOST:,} surveys; merge it in parts")
    return [_read(block, name) for block in blocks]


def _read(block: list[str], name: str) -> Read:
    """Read one survey; continuation lines belong to the line before."""
    fields: dict[str, str] = {}
    label = ""
    for line in block:
        found = _LINE.fullmatch(line)
        if found and found[1] in _LABELS and found[1] not in fields:
            label = found[1]
            fields[label] = found[2].strip()
        elif label and label != "losses":
            fields[label] += f" {line}"
    kernel = _KERNEL.fullmatch(fields.get("kernel", ""))
    tier = _TIER.search(fields.get("traced", ""))
    umounts = _UMOUNTS.match(fields.get("umounts", ""))
    if not (kernel and tier and umounts):
        raise DamagedInputError(f"{name}: a survey without all of its lines; ask for it again")
    free, rcu = _FREE.match(fields.get("nobody else", "")), _RCU.match(fields.get("RCU wait", ""))
    if free and read_number(free[1]) > read_number(free[2]):
        raise DamagedInputError(f"{name}: a survey with impossible numbers; ask for it again")
    return Read(
        kernel=kernel[1],
        preempt=kernel[3],
        cpus=_cpus(kernel[4]),
        tier=tier[1],
        umounts=read_number(umounts[1]),
        free=read_number(free[1]) if free else None,
        known=read_number(free[2]) if free else None,
        rcu_p50=rcu[1] if rcu else None,
    )


_LABELS = frozenset(
    {
        "kernel", "traced", "umounts", "victims", "nobody else", "by kind",
        "umount", "RCU wait", "grace period", "on demand", "deferred", "EBUSY", "losses",
    }
)  # fmt: skip


def _cpus(text: str) -> str:
    found = re.fullmatch(r"(\d{1,5})(?: to (\d{1,5}))? CPUs?", text)
    if not found:
        return "-"
    return found[1] if found[2] is None else f"{found[1]}-{found[2]}"


def table(surveys: Sequence[Read]) -> list[str]:
    """Return the lines of a table, one for each survey, and one for all, 72 columns of ASCII."""
    found = [_row(survey) for survey in surveys]
    rows = [_HEAD, *found]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = ["  ".join(_padded(row, widths)).rstrip() for row in rows]
    unknown = any("-" in row for row in found)
    return [*lines, *([_UNKNOWN] if unknown else []), *_total(surveys)]


def _padded(row: Iterable[str], widths: Sequence[int]) -> list[str]:
    left = {0, 1, 3}
    return [
        text.ljust(width) if i in left else text.rjust(width)
        for i, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def _short(preempt: str) -> str:
    """Return ``RT``, ``DYNAMIC``, ``LAZY``, ``full`` or ``none``."""
    words = {"PREEMPT": "full", "no PREEMPT": "none", "preemption unknown": "-"}
    return words.get(preempt, preempt.removeprefix("PREEMPT_")[:7])


def _row(survey: Read) -> tuple[str, ...]:
    share = percent(survey.free / survey.known) if survey.free is not None and survey.known else "-"
    return (
        survey.kernel,
        _short(survey.preempt),
        survey.cpus,
        survey.tier,
        number(survey.umounts),
        share,
        survey.rcu_p50 or "-",
    )


def _total(surveys: Sequence[Read]) -> list[str]:
    known = [each for each in surveys if each.known]
    if not known:
        return ["", "No survey knows of how many umounts nobody else held a victim."]
    free = sum(each.free or 0 for each in known)
    whole = sum(each.known or 0 for each in known)
    low, high = share_interval(free, whole)
    some = "" if len(known) == len(surveys) else f" (of {len(surveys)})"
    shares = sorted((each.free or 0) / (each.known or 1) for each in known)
    counts = f"{number(free)} of {number(whole)}"
    share, bounds = percent(free / whole), f"{percent(low)} to {percent(high)}"
    spread = f"{percent(shares[0])} to {percent(shares[-1])}"
    text = (
        f"{plural(len(known), 'survey')}{some}: {counts} umounts had no victim that somebody else "
        f"held: {share} (95 %: {bounds}); by host {spread}"
    )
    return ["", *wrap(text, COLUMNS)]
