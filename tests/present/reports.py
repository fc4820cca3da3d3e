"""Reports of rows, without a recording."""

from __future__ import annotations

from tests.stats.rows import batch_of
from umtrace.ebusy.counters import WalkCounters
from umtrace.model.windows import windows_to_arrow
from umtrace.report_contents import Gathered, report_of
from umtrace.stats.notable import Notable
from umtrace.stats.summarize import summarize
from umtrace.stats.windows import WindowTotals

OF_UMOUNTS = ("groups", "phases", "histograms")


def of_rows(rows, heading, sections=OF_UMOUNTS, windows=(), **options):
    """Return the report of some rows and EBUSY windows."""
    batch, longest = batch_of(rows), windows_to_arrow(list(windows))
    counters = WalkCounters()
    counters.add(batch)
    notable = Notable()
    notable.add(batch)
    found = Gathered(
        summary=summarize([batch], **options),
        counters=counters,
        windows=WindowTotals.of([longest]),
        longest=longest,
        notable=notable,
    )
    return report_of(found, heading).only(sections)
