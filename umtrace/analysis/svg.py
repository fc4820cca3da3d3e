"""Figures as SVG for a page that has its own colours, light and dark, and a narrow screen."""

from __future__ import annotations

import io
import re
import textwrap
from itertools import pairwise

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from umtrace.analysis.style import end_of, only_printable, pinned_style

_WIDTH = 4.6  # inches: on a phone, text keeps its size
DPI = 220  #: of what is drawn as an image: cells, and bars by the hundred
_LABEL_CHARS = 30  # that fit below the axes
_TICK_CHARS = 18  # that fit beside them
_LEGEND_CHARS = 58
_KEY_CHARS = 6
_SMALL = 8.0  # points, of a legend over the curves
_GAP = 0.6  # of the height of a label, between two of them
_LEGEND_LINE = 0.18  # inches
#: greys of the plots -> custom properties of the page
_INKS = {
    "#000000": "var(--ink)",
    "#333333": "var(--ink)",
    "#4c4c4c": "var(--muted)",
    "#666666": "var(--muted)",
    "#999999": "var(--muted)",
    "#e0e0e0": "var(--rule)",
    "#ffffff": "var(--paper)",
}
_COLOR = re.compile(r"(?<=[:\s\"])#[0-9a-f]{6}(?=[;\s\"])")
_LONG_NUMBER = re.compile(r"(?<=[\s\",(])-?\d+\.\d{3,}(?=[\s\",)])")
_PLATE = "#eef0f3"  # behind cells, which are darker for more on a dark page, too
_PLATE_RULE = "#d9dce1"
_ID = re.compile(r'((?<=\sid=")|(?<=url\(#)|(?<=href="#))')


def svg_of(
    figure: Figure, name: str, *, size: tuple[float, float] | None = None, dpi: int = DPI
) -> str:
    """Return a figure as one ``<svg>`` element that refers to nothing outside of it.

    Text stays text, without a font of its own; black, white and greys become the
    page's ``--ink``, ``--paper``, ``--muted`` and ``--rule``. The figure is changed: it
    becomes narrow, and a legend beside the axes moves below them.

    Parameters
    ----------
    name : str
        Goes before every id, so that several pictures fit on one page.
    size : (float, float), optional
        Width and height in inches; what a phone can show by default.
    dpi : int
        Of what is drawn as an image: cells, and bars by the hundred.
    """
    out = io.StringIO()
    with pinned_style(), rc_context({"svg.fonttype": "none", "svg.hashsalt": "umtrace"}):
        only_printable(figure)
        if size is not None:
            figure.set_size_inches(size)
        _make_narrow(figure, _WIDTH if size is None else size[0])
        _clear_paper(figure)
        figure.savefig(out, format="svg", dpi=dpi, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'\sxmlns(?::\w+)?="[^"]*"', "", text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"<!--.*?-->", "", text.replace("xlink:href", "href"), flags=re.DOTALL)
    text = re.sub(r"\n\s*", "\n", text)
    text = _ID.sub(f"{name}-", text)
    text = _LONG_NUMBER.sub(lambda match: f"{float(match.group()):.2f}", text)
    return _COLOR.sub(lambda match: _INKS.get(match.group(), match.group()), text)


def _make_narrow(figure: Figure, width: float) -> None:
    figure.set_size_inches(width, figure.get_size_inches()[1])
    figure.suptitle("")
    for artist in figure.findobj():
        artist.set_gid(None)  # would be an id, and the bars of a phase share theirs
    plots = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    for axes in plots:
        legend = axes.get_legend()
        if legend is not None and _is_beside(legend, axes):
            _move_below(figure, legend)
        elif legend is not None:
            for text in legend.get_texts():
                text.set_fontsize(_SMALL)
        axes.set_xlabel(textwrap.fill(axes.get_xlabel(), _LABEL_CHARS))
        _shorten_ticks(axes)
        if len(plots) == 1:
            axes.set_title("", loc="left")  # the page has it
    figure.draw_without_rendering()  # places the labels
    for axes in plots:
        _thin_out(axes)


def _thin_out(axes: Axes) -> None:
    """Leave out every other mark of the x axis where their labels would touch."""
    low, high = axes.get_xlim()
    marks = [mark for mark in axes.xaxis.get_major_ticks() if low <= mark.get_loc() <= high]
    boxes = [mark.label1.get_window_extent() for mark in marks if mark.label1.get_visible()]
    gaps = [right.x0 - left.x1 for left, right in pairwise(boxes)]
    if gaps and min(gaps) < _GAP * min(box.height for box in boxes):
        axes.set_xticks([mark.get_loc() for mark in marks[::2]])
        axes.set_xlim(low, high)


def _shorten_ticks(axes: Axes) -> None:
    """Cut names beside the axes, which are paths, at their front; numbers are short."""
    texts = [label.get_text() for label in axes.get_yticklabels()]
    cut = ["\n".join(end_of(line, _TICK_CHARS) for line in text.splitlines()) for text in texts]
    if cut != texts:
        axes.set_yticks(axes.get_yticks(), cut)


def _clear_paper(figure: Figure) -> None:
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        if any(isinstance(artist, QuadMesh) for artist in axes.collections):
            axes.set_facecolor(_PLATE)
            axes.grid(color=_PLATE_RULE)
        else:
            axes.patch.set_alpha(0)


def _is_beside(legend: Legend, axes: Axes) -> bool:
    box = legend.get_bbox_to_anchor().transformed(axes.transAxes.inverted())
    return bool(box.x0 >= 1)


def _move_below(figure: Figure, legend: Legend) -> None:
    handles = [handle for handle in legend.legend_handles if handle is not None]
    labels = [text.get_text() for text in legend.get_texts()]
    columns = max(_LEGEND_CHARS // (max(map(len, labels)) + _KEY_CHARS), 1)
    legend.remove()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), columns),
        frameon=False,
        fontsize="small",
    )
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + _LEGEND_LINE * -(-len(labels) // columns))
