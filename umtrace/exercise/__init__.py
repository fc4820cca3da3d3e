"""A known workload of real umounts in a private mount namespace."""

from __future__ import annotations
