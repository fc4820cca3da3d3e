"""``rec.plot``: the plots of a recording as methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from matplotlib.axes import Axes

from umtrace.analysis import figures
from umtrace.analysis.style import checked_size, figure_with, pinned_style
from umtrace.model.errors import UsageError
from umtrace.query.selection import Selection
from umtrace.query.whatif import Assumptions

By = str | tuple[str, ...] | list[str] | None
Size = tuple[float, float] | None


class Plots:
    """Each method returns matplotlib Axes; a notebook shows them, a script saves their figure.

    ``by`` is a key or several, as in ``umtrace report``; ``span`` is a pair of times. ``ax`` are
    the axes to draw into, which are returned; ``figsize`` is the size of a new figure in inches.
    Everything else is a filter.
    Rows are read in batches and counted in bins, so that millions draw as fast as they
    are read.
    """

    def __init__(self, select: Callable[..., Selection]) -> None:
        self._select = select

    def __repr__(self) -> str:
        return f"<plots: {', '.join(figures.KINDS)}>"

    def hist(
        self,
        by: By = "mode",
        *,
        column: str | None = None,
        ax: Axes | None = None,
        figsize: Size = None,
        **where: object,
    ) -> Axes:
        """Latency above RCU wait, as histograms; or one ``column``, such as ``shutdown_ns``.

        With ``ax``, one column alone is drawn: the latency by default.
        """
        draw = partial(figures.draw_hist, column=column)
        return self._draw(draw, by, where, ax, figsize)

    def cdf(
        self,
        by: By = "mode",
        *,
        column: str | None = None,
        ax: Axes | None = None,
        figsize: Size = None,
        **where: object,
    ) -> Axes:
        """Latency above RCU wait: which part took at most so long; parameters as `hist`."""
        return self._draw(partial(figures.draw_cdf, column=column), by, where, ax, figsize)

    def phases(
        self, by: By = "mode", *, ax: Axes | None = None, figsize: Size = None, **where: object
    ) -> Axes:
        """Where the time of a mean umount goes."""
        return self._draw(figures.draw_phases, by, where, ax, figsize)

    def modes(
        self, by: By = "mode", *, ax: Axes | None = None, figsize: Size = None, **where: object
    ) -> Axes:
        """Median and tail of each phase, the groups side by side: sync against lazy."""
        return self._draw(figures.draw_modes, by, where, ax, figsize)

    def heatmap(self, *, ax: Axes | None = None, figsize: Size = None, **where: object) -> Axes:
        """Latency over time."""
        return self._draw(figures.draw_heatmap, None, where, ax, figsize)

    def timeline(self, *, ax: Axes | None = None, figsize: Size = None, **where: object) -> Axes:
        """Umounts one by one with their phases; of more than 400, how many at once."""
        return self._draw(figures.draw_timeline, None, where, ax, figsize)

    def mounts(self, *, ax: Axes | None = None, figsize: Size = None, **where: object) -> Axes:
        """RCU wait against the mounts that one umount took down."""
        return self._draw(figures.draw_mounts, None, where, ax, figsize)

    def ebusy(self, *, ax: Axes | None = None, figsize: Size = None, **where: object) -> Axes:
        """EBUSY windows over time, by class."""
        return self._draw(figures.draw_ebusy, None, where, ax, figsize)

    def whatif(
        self,
        *,
        normal_gp: str | tuple[str, ...] | list[str] = (),
        hz: int | None = None,
        ax: Axes | None = None,
        figsize: Size = None,
        **where: object,
    ) -> Axes:
        """Draw what callers would wait under other designs; see ``rec.whatif``.

        All the rows are in memory at once. What a filter leaves out is not in the simulation.
        """
        lengths = normal_gp.split(",") if isinstance(normal_gp, str) else normal_gp
        assume = Assumptions(normal_gp=lengths, hz=hz)
        draw = partial(figures.draw_whatif, assume=assume)
        return self._draw(draw, None, where, ax, figsize)

    def _draw(
        self,
        draw: Callable[..., Axes],
        by: By,
        where: dict[str, object],
        ax: Axes | None,
        figsize: Size,
    ) -> Axes:
        if ax is not None and not isinstance(ax, Axes):
            raise UsageError(f"ax: {type(ax).__name__} is no matplotlib Axes")
        if ax is not None and figsize is not None:
            raise UsageError("figsize is for a new figure: not with ax")
        keys = [by] if isinstance(by, str) else list(by or ())
        with pinned_style():
            axes = draw(self._select(**where), keys, ax)
            if figsize is not None:
                figure_with(axes).set_size_inches(checked_size(figsize))
        return axes
