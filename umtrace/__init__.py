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
    from umtrace.analysis import Compared, Histograms
    from umtrace.api import LoadedRecording, compare, in_unit, load, record
    from umtrace.model.errors import (
        DamagedInputError,
        NoTierError,
        NotPermittedError,
        UmtraceError,
        UsageError,
    )
    from umtrace.whatif_frames import Simulated

__all__ = [
    "Compared",
    "DamagedInputError",
    "Histograms",
    "LoadedRecording",
    "NoTierError",
    "NotPermittedError",
    "Simulated",
    "UmtraceError",
    "UsageError",
    "__version__",
    "compare",
    "fleet",
    "in_unit",
    "load",
    "record",
]

_MODULES = {
    "fleet": "umtrace.fleet",
    "Compared": "umtrace.analysis",
    "Histograms": "umtrace.analysis",
    "Simulated": "umtrace.whatif_frames",
}
_API = ("LoadedRecording", "compare", "in_unit", "load", "record")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'umtrace' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    default = "umtrace.api" if name in _API else "umtrace.model.errors"
    module = import_module(_MODULES.get(name, default))
    return module if name == "fleet" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
