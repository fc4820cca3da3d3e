"""Histograms, quantiles, comparisons: pure functions on arrays."""

from __future__ import annotations
