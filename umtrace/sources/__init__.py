"""The sources of events; every source yields the same batches."""

from __future__ import annotations
