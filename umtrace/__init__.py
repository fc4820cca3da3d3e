"""What umount costs on a live Linux host.

``umtrace.load(path)`` reads a recording; everything else is on the command line.
Importing the package is cheap: pandas, matplotlib and bcc load when first needed.
"""

from __future__ import annotations

from umtrace.version import __version__

__all__ = ["__version__"]
