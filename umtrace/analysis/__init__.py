"""DataFrames and plots; the only imports of pandas and matplotlib."""

from __future__ import annotations
