"""What umount costs on a live Linux host.

``umtrace.load(path)`` reads a recording, ``umtrace.record()`` makes one,
``umtrace.compare(a, b)`` tells two apart, ``umtrace.fleet.open(folder)`` adds up many hosts;
see ``docs/python.md``.
Importing the package is cheap: pandas, matplotlib and bcc load when first needed.
"""

from __future__ import annotations

from umtrace.version import __version__

# Not from typing: nothing is imported before search_path.py was asked where modules come from.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from umtrace import fleet
    from umtrace.api import compare, load, record

__all__ = ["__version__", "compare", "fleet", "load", "record"]

_LAZY = ("compare", "fleet", "load", "record")


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'umtrace' has no attribute {name!r}")
    if name == "fleet":
        from importlib import import_module  # noqa: PLC0415

        return import_module("umtrace.fleet")
    from umtrace import api  # noqa: PLC0415

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
