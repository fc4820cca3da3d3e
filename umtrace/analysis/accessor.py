"""``rec.plot``: the plots of a recording as methods."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes

from umtrace.analysis import figures
from umtrace.analysis.style import pinned_style
from umtrace.query.selection import Selection

By = str | tuple[str, ...] | list[str] | None


class Plots:
    """Each method returns matplotlib Axes; a notebook shows them, a script saves their figure.

    ``by`` is a key or several, as in ``umtrace report``; ``span`` is a pair of times.
    Rows are read in batches and counted in bins, so that millions draw as fast as they
    are read.
    """

    def __init__(self, select: Callable[..., Selection]) -> None:
        self._select = select

    def __repr__(self) -> str:
        return f"<plots: {', '.join(figures.KINDS)}>"

    def hist(self, by: By = "mode", **where: object) -> Axes:
        """Latency above RCU wait, as histograms."""
        return self._draw("hist", by, where)

    def cdf(self, by: By = "mode", **where: object) -> Axes:
        """Latency above RCU wait: which part took at most so long."""
        return self._draw("cdf", by, where)

    def phases(self, by: By = "mode", **where: object) -> Axes:
        """Where the time of a mean umount goes."""
        return self._draw("phases", by, where)

    def modes(self, by: By = "mode", **where: object) -> Axes:
        """Median and tail of each phase, the groups side by side: sync against lazy."""
        return self._draw("modes", by, where)

    def heatmap(self, **where: object) -> Axes:
        """Latency over time."""
        return self._draw("heatmap", None, where)

    def timeline(self, **where: object) -> Axes:
        """Umounts one by one with their phases; of more than 400, how many at once."""
        return self._draw("timeline", None, where)

    def mounts(self, **where: object) -> Axes:
        """RCU wait against the mounts that one umount took down."""
        return self._draw("mounts", None, where)

    def ebusy(self, **where: object) -> Axes:
        """EBUSY windows over time, by class."""
        return self._draw("ebusy", None, where)

    def _draw(self, kind: str, by: By, where: dict[str, object]) -> Axes:
        keys = [by] if isinstance(by, str) else list(by or ())
        with pinned_style():
            return figures.DRAW[kind](self._select(**where), keys)
