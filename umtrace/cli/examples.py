"""The examples at the end of a command's help."""

from __future__ import annotations


def examples(*commands: str) -> str:
    """Return an epilog of click that shows each command on a line of its own, unwrapped."""
    title = "Example" if len(commands) == 1 else "Examples"
    return "\n".join(["\b", f"{title}:", *(f"  {command}" for command in commands)])
