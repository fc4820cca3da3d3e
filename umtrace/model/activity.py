"""What this process is doing now, for whoever shows that to a person who waits."""

from __future__ import annotations


class Activity:
    """One thing at a time; ``part`` is how much of it is done, 0 to 1, or unknown."""

    # No dataclass: that import takes longer than all else until the first line is shown.
    __slots__ = ("part", "text")

    def __init__(self) -> None:
        self.text = "starting"
        self.part: float | None = None

    def note(self, text: str, part: float | None = None) -> None:
        """Say what begins, or how far it is; costs next to nothing."""
        self.text, self.part = text, part


#: of this process
NOW = Activity()
