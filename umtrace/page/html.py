"""One self-contained page about a recording: nothing fetched, light and dark, tables that sort."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from umtrace.model.umounts import PHASES
from umtrace.model.windows import AFTERWARDS, hold
from umtrace.present.heading import heading_lines, loss_text
from umtrace.present.held import held_words, references_named
from umtrace.present.names import phase_name
from umtrace.present.report.as_html import HtmlFormat, report_views
from umtrace.present.report.as_text import nothing
from umtrace.present.report.section import Report, Section
from umtrace.present.report.walk import walk
from umtrace.present.terminal import clean, visible
from umtrace.present.units import NULL, clock, count, duration, percent, plural
from umtrace.stats.summarize import LATENCY, RCU, errno_name
from umtrace.stats.summary import GroupSummary
from umtrace.version import __version__

Row = Mapping[str, Any]
#: templates of what only this page has, by the section that they follow
_MORE = {"phases": "worst.html", "ebusy": "windows.html", "whatif": "whatif.html"}
#: the picture that shows the rows of a section, or of what follows it
_SHOWN_IN = {
    "groups": "cdf",
    "phases": "phases",
    "histograms": "cdf",
    "ebusy": "ebusy",
    "worst": "timeline",
    "hosts": "hosts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing: ``svg`` is one trusted ``<svg>`` element, the texts are plain.

    ``kind`` is unique on its page: rows link to it.
    """

    kind: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the page tells: a report, and what no other format has.

    Attributes
    ----------
    total : GroupSummary
        All umounts, with latency and all phases.
    worst : sequence of mapping
        Umount rows, the longest first, ``t_start`` in ns.
    windows : sequence of mapping
        EBUSY windows, the longest first; ``n_windows`` counts all.
    plan : sequence of mapping
        The probe plan.
    more : sequence of Section
        Sections that no other format has.
    whatif_svg : str
        The picture of the section ``whatif``, one trusted ``<svg>`` element; may be empty.
    """

    report: Report
    total: GroupSummary
    pictures: Sequence[Picture] = ()
    worst: Sequence[Row] = ()
    windows: Sequence[Row] = ()
    n_windows: int = 0
    plan: Sequence[Mapping[str, str]] = ()
    command: Sequence[str] = ()
    version: str = ""
    counters: Mapping[str, object] = field(default_factory=dict)
    more: Sequence[Section] = ()
    whatif_svg: str = ""


def page_html(page: Page) -> str:
    """Return the page as HTML text."""
    return _rendered("page.html", _view(page))


def fleet_html(
    head: Sequence[str], sections: Sequence[dict[str, Any]], pictures: Sequence[Picture]
) -> str:
    """Return the page about a fleet: lines of its head, sections of `HtmlFormat`, drawings."""
    first, *facts = map(clean, head)
    return _rendered(
        "fleet.html",
        {
            "title": first,
            "recording": first,
            "facts": facts,
            "lossy": False,
            "verdict": [],
            "notes": [],
            "tiles": [],
            "answer": "",
            "pictures": _figures(pictures),
            "links": _links(pictures),
            "sections": sections,
            "more": {},
            "version": __version__,
            "recorded_by": "",
        },
    )


def _figures(pictures: Sequence[Picture]) -> list[tuple[str, str, str, Markup]]:
    return [(p.kind, p.title, p.caption, Markup(p.svg)) for p in pictures]  # noqa: S704


def _links(pictures: Sequence[Picture]) -> dict[str, str]:
    drawn = {picture.kind for picture in pictures}
    return {rows: f"picture-{kind}" for rows, kind in _SHOWN_IN.items() if kind in drawn}


def _script() -> tuple[Markup, str]:
    """Return the script that sorts tables, and what the page's policy lets run: that alone."""
    text = (resources.files("umtrace.page") / "templates" / "sort.js").read_text("utf-8")
    digest = b64encode(sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"  # noqa: S704


def _rendered(template: str, view: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("umtrace.page", "templates"),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, script_hash = _script()
    whole = {**view, "script": script, "script_hash": script_hash}
    return environment.get_template(template).render(**whole) + "\n"


def _finalized(value: object) -> object:
    """Let nothing into the page that a browser takes for more than text to show."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _view(page: Page) -> dict[str, Any]:
    report, heading = page.report, page.report.heading
    recording, *facts = heading_lines(heading, report.n_incomplete, report.n_rows)
    return {
        "title": clean(heading.source),
        "recording": recording,
        "facts": facts,
        "lossy": heading.losses.lost_anything,
        "answer": report.answer,
        "verdict": report.verdict if report.n_rows else [nothing(heading)],
        "notes": report.notes,
        "tiles": list(_tiles(page.total)),
        "pictures": _figures(page.pictures),
        "links": _links(page.pictures),
        "sections": [*report_views(report), *walk(page.more, HtmlFormat())],
        "whatif_svg": Markup(page.whatif_svg),  # noqa: S704
        "more": _MORE,
        "worst": [_worst(row) for row in page.worst],
        "windows": [_window(row) for row in page.windows],
        "n_windows": page.n_windows,
        "losses": loss_text(heading.losses, heading.tier),
        "counters": [(name.replace("_", " "), _counter(v)) for name, v in page.counters.items()],
        "plan": page.plan,
        "command": clean(" ".join(page.command)),
        "version": __version__,
        "recorded_by": page.version,
    }


def _tiles(total: GroupSummary) -> Iterator[tuple[str, str, str]]:
    latency, rcu = total.metric(LATENCY).occurred, total.metric(RCU)
    failed = ", ".join(f"{name} {count(n)}" for name, n in total.errnos.items())
    yield "umounts", count(total.count), failed or "none failed"
    of = f" of {count(total.n_timed)}{total.population}" if total.population else ""
    # an upper bound is said to be one, as in the first sentence
    upper = total.n_upper and latency.count
    of_part = latency.quantile_at_most if upper else latency.quantile
    least = "≤ " if upper else ""
    p50, p90, p99 = (f"{least}{duration(of_part(part))}" for part in (0.5, 0.9, 0.99))
    yield "latency p50", p50, f"p90 {p90}{of}"
    yield "latency p99", p99, f"max {duration(latency.max)}{of}"
    yield "RCU wait", percent(rcu.share), f"of the time of {plural(rcu.n_shared, 'umount')}"


def _worst(row: Row) -> dict[str, Any]:
    latency = row["latency_ns"] or 1
    parts = [(phase_name(name), name, row.get(name) or 0) for name in PHASES]
    return {
        "latency": duration(row["latency_ns"]),
        "when": clock(row["t_start"]),
        "what": _result(row),
        "path": _where(row),
        "who": clean(f"{row.get('comm') or NULL} {row.get('pid') or ''}").strip(),
        "container": clean(row.get("container") or "")[:12],
        "parts": [
            (words, name, round(100 * ns / latency, 2), duration(ns))
            for words, name, ns in parts
            if ns
        ],
        "complete": bool(row.get("complete")),
    }


def _where(row: Row) -> str:
    if row.get("origin") == "ns-exit":
        mounts = row.get("n_mounts")
        return f"namespace {row.get('mntns') or NULL}" + (f", {mounts} mounts" if mounts else "")
    return clean(row.get("path") or NULL)


def _result(row: Row) -> str:
    mode = row.get("mode") or row.get("origin") or NULL
    number = row.get("errno")
    return f"{mode}, {errno_name(number)}" if number else str(mode)


def _window(row: Row) -> dict[str, Any]:
    klass, spurious = str(row.get("class") or "unknown"), row.get("spurious")
    words = {True: "spurious", False: "real", "true": "spurious", "false": "real"}
    verdict = words.get(spurious, "not known") if spurious is not None else "not known"
    return {
        "class": clean(klass),
        # Nobody got EBUSY there, which could be real or spurious.
        "spurious": "in use after its umount" if klass in AFTERWARDS else verdict,
        "path": clean(str(row.get("path") or NULL)),
        "when": clock(row.get("begin")),
        "duration": _held(row),
        "attempts": row.get("attempts"),
        "who": clean(f"{row.get('comm') or ''} {row.get('pid') or ''}").strip(),
        "evidence": _sentences(row.get("evidence")),
        "holders": _sentences(row.get("holders"), _holder),
        "references": references_named(row.get("refs"), row.get("refs_named")),
        "walkers": _sentences(row.get("walkers"), _walker),
    }


def _held(row: Row) -> str:
    held = hold(
        row["class"],
        (row.get("held_min_ns"), row.get("held_max_ns")),
        row.get("first_success_ns"),
        row.get("duration_ns"),
    )
    return held_words(held) + ("," if held == (None, None) else "")


def _sentences(value: object, told: Callable[[Row], str] = str) -> list[str]:
    """Return a JSON list, of texts or of objects that are ``told``, as lines."""
    if not isinstance(value, str) or not value:
        return []
    try:
        items = json.loads(value)
    except ValueError:
        return [clean(value)]
    listed = items if isinstance(items, list) else [items]
    return [clean(told(item) if isinstance(item, Mapping) else str(item)) for item in listed]


def _holder(holder: Row) -> str:
    """Return a holder and what it holds: `sleep (227): exe at /mnt/sleep, in 24 of 24 samples`."""
    pid, looks = holder.get("pid"), holder.get("looks") or 1
    who = f"{holder.get('comm') or '?'} ({pid}): " if pid else ""
    fd, detail, mntns = (holder.get(name) for name in ("fd", "detail", "mntns"))
    return (
        who
        + str(holder.get("kind") or "reference")
        + (f" {fd}" if fd is not None else "")
        + (f" at {detail}" if detail else "")
        + (f", in mount namespace {mntns}" if mntns and holder.get("of") != "mount" else "")
        + (f", in {holder.get('seen') or 1} of {looks} samples" if looks > 1 else "")
    )


def _walker(walker: Row) -> str:
    """Tell who met the mount, how, and how often: `find (7): walk, 3 times`."""
    times = walker.get("count") or 1
    who = f"{walker.get('comm') or '?'} ({walker.get('tid') or '?'})"
    return f"{who}: {walker.get('what') or 'seen'}" + (f", {times:,} times" if times > 1 else "")


def _counter(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(str(name))}: {n}" for name, n in value.items()) or "none"
    return count(value) if isinstance(value, int) else "not counted"
