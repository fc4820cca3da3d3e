"""What is wrong or worth knowing with the parts of a fleet: one line each, never a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from umtrace.fleet.about import About
from umtrace.fleet.items import Item
from umtrace.model.clock import date_time
from umtrace.present.units import NS_PER_S, duration, plural

#: kinds of which nothing was counted
NOT_COUNTED = ("damaged", "newer", "misfiled", "duplicate")
#: kinds that make the exit status 5: what had been recorded cannot be read
DAMAGE = frozenset({"damaged", "newer", "misfiled", "part-damaged"})
#: all kinds, in the order in which they are shown
KINDS = (
    *NOT_COUNTED, "part-damaged", "open", "cut-short", "wrong-clock", "clock-set", "same-name",
    "new-boot", "losses", "filtered", "missing", "late", "unexpected", "mixed-tiers",
    "mixed-bounds", "mixed-versions",
)  # fmt: skip

_AHEAD_NS = 600 * NS_PER_S
_STEP_NS = NS_PER_S
_FIRST_NS = 1_577_836_800 * NS_PER_S  # 2020: a clock before it was not set yet


@dataclass(frozen=True, slots=True, order=True)
class Verdict:
    """One line: kind, host (empty: the fleet), place, and a sentence."""

    kind: str
    host: str
    where: str
    text: str


def of_hour(item: Item, about: About, *, damaged: bool, now_ns: int) -> Iterator[Verdict]:
    """Yield what an hour says of itself."""

    def say(kind: str, text: str) -> Verdict:
        return Verdict(kind, about.host, item.name, text)

    if damaged:
        yield say("part-damaged", "; ".join(about.problems) or "rows could not be read")
    if about.state != "closed":
        text = "still being written" if about.state == "open" else "was cut short"
        yield say(about.state, f"{text}; counted as far as it goes")
    if wrong := _wrong_clock(item, about, now_ns):
        yield say("wrong-clock", wrong)
    step = about.clock_step_ns
    if step is not None and abs(step) > _STEP_NS:
        sign = "-" if step < 0 else "+"
        yield say("clock-set", f"the wall clock moved by {sign}{duration(abs(step))} meanwhile")
    lost = {name: n for name, n in about.losses.lost().items() if name != "incomplete_rows"}
    if lost:
        words = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in lost.items())
        yield say("losses", f"lost: {words}")
    if about.filtered:
        yield say("filtered", f"recorded with a filter: {', '.join(about.filtered)}")


def _wrong_clock(item: Item, about: About, now_ns: int) -> str:
    begin = max(about.start_ns, about.hour_ns)
    if about.start_ns > now_ns + _AHEAD_NS:
        return f"it begins in the future, {date_time(about.start_ns)}"
    if about.start_ns < _FIRST_NS:
        return f"it begins before the clock was set, {date_time(about.start_ns)}"
    changed = item.changed_ns
    if changed is not None and changed + _AHEAD_NS < begin:
        return f"it begins {duration(begin - changed)} after it was written"
    return ""


def of_boots(host: str, abouts: Sequence[About]) -> Iterator[Verdict]:
    """Yield what the boots of one host's name say: another boot, or two hosts of one name."""
    spans: dict[str, tuple[int, int]] = {}
    kernels: dict[str, None] = {}
    for about in sorted(abouts, key=lambda a: (a.start_ns, a.hour_ns, a.boot_id)):
        begin, end = spans.get(about.boot_id, (about.start_ns, 0))
        last = max(about.hour_ns, about.start_ns)
        spans[about.boot_id] = (min(begin, about.start_ns), max(end, last))
        kernels.setdefault(about.kernel)
    if len(spans) < 2:  # noqa: PLR2004 - one boot
        return
    ordered = sorted(spans.values())
    overlap = any(a[1] > b[0] for a, b in pairwise(ordered))
    text = f"{plural(len(spans), 'boot')}; kernel {' then '.join(kernels)}"
    if overlap:
        yield Verdict("same-name", host, "", f"two hosts with one name, at the same time: {text}")
    else:
        yield Verdict("new-boot", host, "", f"rebooted, or another host of that name: {text}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What coverage is judged by, of one host."""

    host: str
    last_ns: int
    tiers: tuple[str, ...]
    bounds: tuple[str, ...]
    versions: tuple[str, ...]


def of_fleet(
    hosts: Sequence[Seen], expected: Iterable[str] | None, late_ns: int
) -> Iterator[Verdict]:
    """Yield who is missing or late, and what is mixed."""
    seen = {host.host for host in hosts}
    if expected is not None:
        wanted = dict.fromkeys(expected)
        yield from (
            Verdict("missing", h, "", "expected, and nothing of it is counted")
            for h in wanted
            if h not in seen
        )
        yield from (
            Verdict("unexpected", h, "", "not in the list") for h in sorted(seen - set(wanted))
        )
    if hosts:
        usual = median_low(host.last_ns for host in hosts)
        for host in hosts:
            if host.last_ns + late_ns < usual:
                behind = duration(usual - host.last_ns)
                yield Verdict(
                    "late", host.host, "", f"its last hour is {behind} before the usual one"
                )
    yield from _mixed("mixed-tiers", "tiers", [host.tiers for host in hosts])
    yield from _mixed("mixed-bounds", "latency bounds", [host.bounds for host in hosts])
    yield from _mixed("mixed-versions", "recording formats", [host.versions for host in hosts])


def _mixed(kind: str, what: str, values: Sequence[tuple[str, ...]]) -> Iterator[Verdict]:
    counts = Counter(value for each in values for value in each if value)
    if len(counts) > 1:
        named = ", ".join(f"{value} ({plural(n, 'host')})" for value, n in sorted(counts.items()))
        yield Verdict(kind, "", "", f"{what}: {named}")
