"""A recording as one HTML page; the only imports of jinja2."""

from __future__ import annotations

from umtrace.page.gathered import page_of

__all__ = ["page_of"]
