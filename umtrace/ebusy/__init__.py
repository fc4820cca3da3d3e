"""Umount rows, scans and clues to EBUSY windows: pure, deterministic, bounded."""

from __future__ import annotations
