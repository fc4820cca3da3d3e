"""What is shown of clang's and the verifier's output: one line of hundreds."""

from __future__ import annotations

SHOW = "UMTRACE_DEBUG"  # environment variable that lets all of it through


def last_line(text: str) -> str:
    """Return the last line that says something, the verifier's statistics aside."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("processed ", "HINT"))]
    return telling[-1] if telling else ""
