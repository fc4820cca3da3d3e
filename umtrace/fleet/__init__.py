"""Many hosts: summaries of recordings, and what they add up to."""

from __future__ import annotations
