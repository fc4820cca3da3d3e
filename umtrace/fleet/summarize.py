"""A recording to summaries: the cells of each hour, and what they say about themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from umtrace.fleet.about import About
from umtrace.fleet.counting import HourlyCounts, row_columns, windows_columns
from umtrace.model.clock import ClockPair
from umtrace.model.losses import LossReport
from umtrace.present.heading import kernel_text
from umtrace.query.selection import Selection
from umtrace.recording import Meta, Recording
from umtrace.recording.tables import EBUSY

Hourly = tuple[About, pa.Table]


def summaries_of(recording: Recording) -> list[Hourly]:
    """Return a summary for each hour in which a row or an EBUSY window began, in order.

    A recording without any has one, of the hour in which it began, so that the host is not
    missing. Losses are those of the whole recording, in its first hour.
    """
    return list(_summaries(recording, _counted(recording)))


def about_recording(meta: Meta, hour_ns: int) -> About:
    """Return what is known of a recording before its rows are read."""
    return About(
        host=meta.host,
        boot_id=meta.boot_id,
        start_ns=meta.start_ns,
        hour_ns=hour_ns,
        end_ns=meta.end_ns,
        kernel=kernel_of(meta),
        tier=meta.tier,
        umtrace=meta.umtrace,
        format="{}.{}".format(*meta.format),
        filtered=tuple(sorted(meta.filters)),
        clock_step_ns=_step(meta.clock, meta.clock_end),
    )


def kernel_of(meta: Meta) -> str:
    """Return the key of a kernel: its release, and its kind of preemption."""
    return kernel_text(meta.kernel)[:128] or "unknown"


def _counted(recording: Recording) -> HourlyCounts:
    counts = HourlyCounts(kernel_of(recording.meta), recording.meta.start_ns)
    columns = row_columns(recording.schema("umounts").names)
    for rows in Selection(recording).batches(columns):
        counts.add(rows)
    if EBUSY.name in recording.meta.tables:
        for rows in recording.batches(EBUSY.name, columns=windows_columns()):
            counts.add_windows(rows)
    return counts


def _summaries(recording: Recording, counts: HourlyCounts) -> Iterator[Hourly]:
    meta, losses = recording.meta, recording.losses
    place = f"{recording.path}: "  # a name of the user's
    problems = tuple(text.replace(place, "") for text in recording.problems)
    state = "closed"
    if recording.is_open:
        state = "open" if recording.is_live else "cut-short"
    if not counts.hours:
        counts.begin(meta.start_ns)
    for hour in counts.hours:
        table, folded = counts.cells(hour)
        about = replace(
            about_recording(meta, hour),
            state=state,
            rows=counts.rows(hour),
            losses=losses,
            problems=problems,
            folded_owners=folded,
        )
        yield about, table
        losses, problems = LossReport(), ()


def _step(begin: ClockPair, end: ClockPair | None) -> int | None:
    return None if end is None else end.offset_ns - begin.offset_ns
