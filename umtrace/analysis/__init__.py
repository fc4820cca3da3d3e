"""DataFrames and plots; the only imports of pandas and matplotlib.

What the package gives loads when it is first used: opening a recording needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from umtrace.model.errors import not_installed

if TYPE_CHECKING:
    from umtrace.analysis.accessor import Plots
    from umtrace.analysis.compared import Compared
    from umtrace.analysis.details import details_frame
    from umtrace.analysis.frames import (
        ebusy_frame,
        events_to_frame,
        in_unit,
        rows_to_frame,
        schema_frame,
        summary_frame,
    )
    from umtrace.analysis.histograms import Histograms
    from umtrace.analysis.teardowns import lock_waits_frame, teardowns_frame
    from umtrace.analysis.whatif import designs_frame, numbers_frame, times_frame, waiting_frame
    from umtrace.analysis.whatif_plot import plot_simulated

__all__ = [
    "Compared",
    "Histograms",
    "Plots",
    "designs_frame",
    "details_frame",
    "ebusy_frame",
    "events_to_frame",
    "in_unit",
    "lock_waits_frame",
    "numbers_frame",
    "plot_simulated",
    "rows_to_frame",
    "schema_frame",
    "summary_frame",
    "teardowns_frame",
    "times_frame",
    "waiting_frame",
]

_MODULES = {
    "Compared": "compared",
    "Histograms": "histograms",
    "Plots": "accessor",
    "designs_frame": "whatif",
    "numbers_frame": "whatif",
    "waiting_frame": "whatif",
    "details_frame": "details",
    "ebusy_frame": "frames",
    "events_to_frame": "frames",
    "in_unit": "frames",
    "plot_simulated": "whatif_plot",
    "rows_to_frame": "frames",
    "schema_frame": "frames",
    "lock_waits_frame": "teardowns",
    "summary_frame": "frames",
    "teardowns_frame": "teardowns",
    "times_frame": "whatif",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'umtrace.analysis' has no attribute {name!r}")
    try:
        module = import_module(f"umtrace.analysis.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        raise ImportError(not_installed(error) or str(error)) from error
    return getattr(module, name)
