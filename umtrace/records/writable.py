"""Whether a recording can be made there: asked before probes are compiled and attached."""

from __future__ import annotations

import os
from pathlib import Path


def check_writable(path: Path) -> None:
    """Raise PermissionError where the directory of a new recording may not be written to."""
    parent = path.parent
    if parent.is_dir() and not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(13, "directory is not writable; choose another with -o", str(parent))
