"""Event batches to Umount rows: pure, deterministic, bounded."""

from __future__ import annotations
