"""The pipeline: the only package that knows the order of the stages.

source → correlate → filter → EBUSY → sinks. A recording is one sink (`recorder`), a consumer in a
process of its own is another (`consumer`). `offline` works on a recording.
"""

from __future__ import annotations

from umtrace.pipeline.consumer import ConsumerProcess
from umtrace.pipeline.pace import READER_NICE
from umtrace.pipeline.recorder import WITHIN, RecordingSink, record
from umtrace.pipeline.run import Run, Sink, Until, run, steps
from umtrace.pipeline.ticks import Missed, Tick, Totals, stream
from umtrace.pipeline.updates import Update

__all__ = [
    "READER_NICE",
    "WITHIN",
    "ConsumerProcess",
    "Missed",
    "RecordingSink",
    "Run",
    "Sink",
    "Tick",
    "Totals",
    "Until",
    "Update",
    "record",
    "run",
    "steps",
    "stream",
]
