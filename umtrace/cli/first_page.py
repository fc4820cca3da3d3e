"""What `umtrace` alone prints: the commands of every day, and the names of the others."""

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
    """Return the page, which fits a screen of 24 lines with the prompt after it.

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
