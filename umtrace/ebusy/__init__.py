"""Makes EBUSY windows of umount rows, scans and evidence: pure, deterministic, bounded."""

from __future__ import annotations
