"""The live source on tracefs alone: dynamic events in a trace instance of our own."""

from __future__ import annotations
