"""The nouns: events, umount rows, losses, errors. Imports nothing of umtrace."""

from __future__ import annotations
