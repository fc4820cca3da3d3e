"""Sources that need only tracefs: dynamic events, tracepoints, and traces by other tools."""

from __future__ import annotations
