"""What `umtrace` alone and `umtrace --help` print, on one screen of 24 lines each."""

from __future__ import annotations

from collections.abc import Mapping

_DAILY = ("doctor", "record", "trace", "report", "ebusy", "teardowns", "why", "stuck", "html")
#: what the other commands are for, in the order of the help
_OTHERS = {
    "recordings": ("hist", "export", "plot", "diff", "whatif", "import", "repair"),
    "many hosts": ("summarize", "fleet", "survey"),
    "to try it": ("exercise", "selftest"),
}


def first_page(commands: Mapping[str, str]) -> str:
    """Return the commands of every day, and the names of the others, in at most 23 lines.

    Parameters
    ----------
    commands : mapping
        Each command and its line in the help.
    """
    lines = [
        "Usage: umtrace [OPTIONS] COMMAND [ARGS]...",
        "",
        "  Record umounts and show where their time goes and what keeps a mount busy.",
        "  Run `umtrace doctor` first: it shows which tiers work on this kernel.",
        "",
    ]
    lines += [f"  {name:<10}  {commands[name]}" for name in _DAILY]
    lines += ["", *(f"  {what:<10}  {', '.join(names)}" for what, names in _OTHERS.items())]
    lines += ["", "All commands: umtrace --help. One, with examples: umtrace COMMAND --help."]
    return "\n".join(lines)


def all_commands(commands: Mapping[str, str]) -> str:
    """Return each command with its line, in at most 23 lines."""
    lines = ["Usage: umtrace [OPTIONS] COMMAND [ARGS]..."]
    lines += [f"  {name:<9}  {line}" for name, line in commands.items()]
    lines += ["Begin with `umtrace doctor`. Examples: `umtrace COMMAND --help`. Version: -V."]
    return "\n".join(lines)
