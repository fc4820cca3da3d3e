"""The exit status of commands that read a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umtrace.model.errors import DamagedInputError

if TYPE_CHECKING:
    from umtrace.recording import Recording


def read_status(*recordings: Recording) -> int:
    """Return 0, or 5 where rows that had been recorded could not be read; ask at the end."""
    damaged = any(recording.damaged for recording in recordings)
    return DamagedInputError.exit_code if damaged else 0
