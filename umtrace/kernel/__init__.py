"""Facts about this host, read only: BTF offsets, symbols, tracefs, cgroups, RCU, the probe plan."""

from __future__ import annotations
