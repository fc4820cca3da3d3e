"""Who holds a mount: reads /proc, opens nothing inside the mount."""

from __future__ import annotations
