"""Makes a recording of a trace by another tool."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from umtrace.model.writable import check_writable
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.pipeline.recorder import TickWriter
from umtrace.pipeline.ticks import Totals, stream
from umtrace.recording import Meta, RecordingWriter
from umtrace.sources.ftrace.text import TextSource


def import_trace(file: Path, path: Path, *, force: bool = False) -> Totals:
    """Make a recording of a trace by another tool; see sources.ftrace.text."""
    with ExitStack() as stack:
        check_writable(path)
        source = stack.enter_context(closing(TextSource(file)))
        source.open()
        # A trace does not contain its host and kernel, which usually are not these.
        meta = Meta(tier=source.tier, clock=source.clock, plan=tuple(source.plan()))
        name = "standard input" if str(file) == "-" else str(file)
        meta = replace(meta, extra={"imported": name, "left_out": source.left_out})
        writer = stack.enter_context(RecordingWriter(path, meta, force=force))
        ticks, totals = TickWriter(writer), Totals()
        began = time.monotonic()
        for tick in stream(source, ebusy=EbusyStage(offset_ns=source.clock.offset_ns)):
            ticks.write(tick)
            totals.add(tick)
            ticks.flush_if_due(tick)
        totals.seconds = time.monotonic() - began
        ticks.append_windows(ticks.alive)  # without a scan: the trace is from another host or time
        writer.close(losses=totals.losses, clock=source.clock)
    return totals
