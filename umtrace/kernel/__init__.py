"""Facts about this host, read only: features, BTF offsets, symbols, cgroups, clock."""

from __future__ import annotations
