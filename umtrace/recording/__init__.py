"""Write, read and repair recordings; the format is specified in ``docs/recording.md``."""

from __future__ import annotations

from umtrace.recording.meta import Meta
from umtrace.recording.reader import Recording
from umtrace.recording.repair import RepairReport, repair
from umtrace.recording.tables import EVENTS, NAMES, TABLES, UMOUNTS, TableKind
from umtrace.recording.writer import RecordingWriter

__all__ = [
    "EVENTS",
    "NAMES",
    "TABLES",
    "UMOUNTS",
    "Meta",
    "Recording",
    "RecordingWriter",
    "RepairReport",
    "TableKind",
    "repair",
]
