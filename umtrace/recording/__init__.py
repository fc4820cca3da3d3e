"""Write, read and repair recordings."""

from __future__ import annotations
