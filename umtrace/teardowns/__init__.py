"""Teardowns: the umounts of one owner that belong together, and what their end waited for.

Arrays in, numbers out: no files, no clocks. docs/teardowns.md defines each term.
"""

from __future__ import annotations

from umtrace.teardowns.behind import WAITS, Behind, behind, wait_row
from umtrace.teardowns.bursts import GAP_NS
from umtrace.teardowns.collect import PATIENCE_NS, Collector, Done
from umtrace.teardowns.counting import Counting, Found
from umtrace.teardowns.owner import Owner
from umtrace.teardowns.path import Step, critical_path
from umtrace.teardowns.rows import COLUMNS, Rows
from umtrace.teardowns.teardown import SCHEMA, Teardown, to_batch

__all__ = [
    "COLUMNS",
    "GAP_NS",
    "PATIENCE_NS",
    "SCHEMA",
    "WAITS",
    "Behind",
    "Collector",
    "Counting",
    "Done",
    "Found",
    "Owner",
    "Rows",
    "Step",
    "Teardown",
    "behind",
    "critical_path",
    "to_batch",
    "wait_row",
]
