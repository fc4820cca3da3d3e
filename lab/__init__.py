"""Boot distribution kernels under software emulation and run a command in them.

``python -m lab --help`` lists the commands; ``docs/lab.md`` explains the parts.
"""

from __future__ import annotations
