"""Makes Umount rows of event batches: pure, deterministic, bounded."""

from __future__ import annotations
