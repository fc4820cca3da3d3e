"""Text in lines of a terminal, in which no path and no option is cut at a hyphen."""

from __future__ import annotations

import textwrap
from functools import partial

wrap = partial(textwrap.wrap, break_on_hyphens=False)
