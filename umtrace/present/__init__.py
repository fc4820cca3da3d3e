"""Tables, histogram bars, JSON lines; knows no source."""

from __future__ import annotations
