"""Insights: what a report can say beyond its tables, each from rows that it names.

Each is a pure function of what was counted and returns None where the evidence does not support
it. The weight is the time that it is about; a report has the five heaviest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from umtrace.model.windows import REFUSED
from umtrace.present.teardowns import owner_text
from umtrace.present.terminal import clean
from umtrace.present.units import duration, percent, plural
from umtrace.stats.notable import Notable, Tally
from umtrace.stats.windows import WindowTotals
from umtrace.teardowns import Rows, Teardown
from umtrace.teardowns.path import PAUSE_NS

MOST = 5
_IDS = 3
_RUN = 5  # so few umounts one by one are not worth a change
_HALF = 0.5
_SHUTDOWN_NS = 10_000_000
_NOT_BELOW_NS = 10_000_000  # to start a process takes some of a shorter time
_NOT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Insight:
    """One thing that is worth knowing.

    Attributes
    ----------
    name, short, text : str
        ``short`` is for a line of 80 characters; both have the numbers.
    weight_ns : int
        The time that it is about.
    rows : tuple of int
        Ids of umounts that show it, the first of ``n_rows``.
    """

    name: str
    short: str
    text: str
    weight_ns: int
    rows: tuple[int, ...] = ()
    n_rows: int = 0

    @property
    def whole(self) -> str:
        """The text with its rows: `… (rows 1, 2, 3 and 57 more)`."""
        if not self.rows:
            return self.text
        ids = ", ".join(map(str, self.rows[:_IDS]))
        more = self.n_rows - len(self.rows[:_IDS])
        some = f"{ids} and {more:,} more" if more > 0 else ids
        return f"{self.text} (row{'s' * (self.n_rows > 1)} {some})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the insights are made of.

    Attributes
    ----------
    teardowns : sequence of Teardown
        The longest.
    window_ids : sequence of int
        The umounts that began the longest EBUSY windows.
    rcu : str
        Why grace periods are normal; empty where that is not known.
    command : sequence of str
        What was recorded; ``ran_ns`` is how long it ran.
    """

    notable: Notable = field(default_factory=Notable)
    windows: WindowTotals = field(default_factory=WindowTotals)
    window_ids: Sequence[int] = ()
    teardowns: Sequence[Teardown] = ()
    rcu: str = ""
    command: Sequence[str] = ()
    ran_ns: int | None = None


def insights(evidence: Evidence) -> list[Insight]:
    """Return the heaviest, at most five."""
    found = [each for each in _all(evidence) if each is not None]
    return sorted(found, key=lambda each: -each.weight_ns)[:MOST]


def failed_mounts(tally: Tally) -> Insight | None:
    """Mounts that failed after they were made: each waits as an umount does."""
    if not tally.count:
        return None
    who, most = max(tally.by_comm.items(), key=lambda item: item[1], default=("", 0))
    by = f", {most:,} of them by {clean(who)}" if who else ""
    short = f"{plural(tally.count, 'failed mount')} waited {duration(tally.spent_ns)} for RCU"
    text = (
        f"{plural(tally.count, 'mount')} failed and waited for a grace period each, "
        f"{duration(tally.spent_ns)} together{by}"
    )
    return Insight("failed-mounts", short, text, tally.spent_ns, tuple(tally.ids), tally.count)


def retried(windows: WindowTotals, ids: Sequence[int] = ()) -> Insight | None:
    """Umounts that were tried again after EBUSY."""
    refused = [row for row in windows.rows() if row["class"] in REFUSED]
    number = sum(row["windows"] for row in refused)
    retries = sum(row["attempts"] for row in refused) - number
    lasted = windows.busy_ns
    if retries <= 0:
        return None
    short = f"{plural(retries, 'retry', 'retries')} after EBUSY, busy for {duration(lasted)}"
    together = " together" if number > 1 else ""
    text = (
        f"{plural(retries, 'umount')} {'was a retry' if retries == 1 else 'were retries'} after "
        f"EBUSY, in {plural(number, 'window')} of {duration(lasted)}{together}"
    )
    return Insight("retries", short, text, lasted, tuple(ids), number)


def one_by_one(teardown: Teardown) -> Insight | None:
    """Tell of a tree that was unmounted mount by mount, where one MNT_DETACH takes it whole."""
    rows = teardown.rows
    found = [run for run in _runs(rows) if len(run) >= _RUN]
    if not found:
        return None
    rcu = rows.of("rcu_ns")
    run = max(found, key=lambda each: int(rcu[each].clip(0).sum()))
    waits = rcu[run][rcu[run] > 0]
    if len(waits) < _RUN:
        return None
    top, spent, saved = run[-1], int(waits.sum()), int(waits.sum() - waits.max())
    path, who = clean(rows.text("path", top) or ""), clean(rows.text("comm", top) or "?")
    text = (
        f"{plural(len(run), 'umount')} one by one at and below {path} by {who} "
        f"({int(rows.of('tid')[top])}): {plural(len(waits), 'grace period')} in a row, "
        f"{duration(spent)}; umount2({path}, MNT_DETACH) takes all with one"
    )
    short = f"{plural(len(run), 'umount')} one by one: one grace period saves {duration(saved)}"
    ids = rows.of("id")[run].tolist()
    return Insight("one-by-one", short, text, saved, tuple(ids), len(run))


def shutdown_dominates(teardown: Teardown) -> Insight | None:
    """One file system whose shutdown is most of a teardown."""
    rows, lasted = teardown.scene, teardown.end - teardown.begin
    shutdown = rows.of("shutdown_ns")
    steps = [step.row for step in teardown.path if step.is_whole]
    at = max(steps, key=lambda row: int(shutdown[row]))
    spent = int(shutdown[at])
    if spent < max(_SHUTDOWN_NS, lasted * _HALF):
        return None
    kind = clean(rows.text("fstype", at) or "a file system")
    bound = " at most" * (rows.text("latency_bound", at) == "upper")
    share = percent(min(spent / lasted, 1))
    where = clean(rows.text("path", at) or rows.text("origin", at) or "an unknown path")
    owner = owner_text(teardown.owner.kind, teardown.owner.name)
    return Insight(
        "shutdown",
        f"shutdown of {kind} takes{bound} {duration(spent)}: {where}",
        f"the shutdown of {kind} at {where} takes{bound} {duration(spent)}, {share} of the "
        f"teardown of {owner}",
        spent,
        (int(rows.of("id")[at]),),
        1,
    )


def normal_grace_periods(tally: Tally, waited: int, why: str) -> Insight | None:
    """Grace periods that are not expedited, where most are not."""
    if not tally.count or tally.count < waited * _HALF:
        return None
    mean = duration(tally.spent_ns / tally.count)
    short = f"{plural(tally.count, 'normal grace period')}, {mean} each: not expedited"
    because = why.partition(": ")[2] or "rcu_normal is set"
    text = (
        f"{plural(tally.count, 'grace period')} of {waited:,} were normal, not expedited, "
        f"{mean} each on average: {because if why else 'the reason is not recorded'}"
    )
    return Insight("rcu-normal", short, text, tally.spent_ns, tuple(tally.ids), tally.count)


def not_umount(
    command: Sequence[str], ran_ns: int | None, latency_ns: int | None, busy_ns: int = 0
) -> Insight | None:
    """Tell of a command that took much longer than all umounts of the host meanwhile.

    ``busy_ns`` is the time in EBUSY windows, which is umount's too: it was tried again.
    """
    if not command or ran_ns is None or latency_ns is None or ran_ns < _NOT_BELOW_NS:
        return None
    if latency_ns + busy_ns > ran_ns * _NOT_SHARE:
        return None
    what = clean(" ".join(command))
    what = what if len(what) <= 40 else what[:39] + "…"  # noqa: PLR2004 - half a line
    spent, wall = duration(latency_ns), duration(ran_ns)
    return Insight(
        "not-umount",
        f"it was not umount: umounts took {spent} of {wall}",
        f"it was not umount: `{what}` ran for {wall}, and all umounts of the recording took "
        f"{spent} ({percent(latency_ns / ran_ns)})",
        ran_ns - latency_ns,
    )


def _all(evidence: Evidence) -> Iterator[Insight | None]:
    notable = evidence.notable
    yield failed_mounts(notable.failed_mounts)
    yield retried(evidence.windows, evidence.window_ids)
    yield normal_grace_periods(notable.normal, notable.waited, evidence.rcu)
    busy = evidence.windows.busy_ns
    yield not_umount(evidence.command, evidence.ran_ns, notable.latency_ns, busy)
    yield _heaviest(one_by_one(each) for each in evidence.teardowns)
    yield _heaviest(shutdown_dominates(each) for each in evidence.teardowns)


def _heaviest(some: Iterable[Insight | None]) -> Insight | None:
    """Return the heaviest of one kind, which is told once."""
    return max((each for each in some if each), key=lambda each: each.weight_ns, default=None)


def _runs(rows: Rows) -> Iterator[list[int]]:
    """Yield umounts of one task, one after the other: all but the last are below the last."""
    called = rows.is_one_of("origin", ["umount"]) & rows.is_one_of("mode", ["sync"])
    fits = called & (rows.of("errno") == 0)
    tasks: dict[int, list[int]] = {}
    for at, tid in enumerate(rows.of("tid").tolist()):
        tasks.setdefault(tid, []).append(at)
    for task in tasks.values():
        run: list[int] = []
        for at in reversed(task):
            if run and fits[at] and _goes_on(rows, at, run[0]) and _is_below(rows, at, run[-1]):
                run = [at, *run]
                continue
            yield run
            run = [at] if fits[at] else []
        yield run


def _goes_on(rows: Rows, at: int, after: int) -> bool:
    return bool(0 <= rows.begin[after] - rows.end[at] <= PAUSE_NS)


def _is_below(rows: Rows, at: int, top: int) -> bool:
    path, above = rows.text("path", at), rows.text("path", top)
    return bool(path and above and path.startswith(above.rstrip("/") + "/"))
