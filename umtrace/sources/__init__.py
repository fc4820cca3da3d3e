"""Where events come from; every source yields the same batches."""

from __future__ import annotations
