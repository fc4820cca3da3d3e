"""The version, in one place: the build reads it, recordings carry it."""

from __future__ import annotations

__version__ = "0.2.0"
