"""The sources on tracefs alone: dynamic events, the kernel's own tracepoints, others' traces."""

from __future__ import annotations
