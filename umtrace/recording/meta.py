"""``meta.json``: what explains a recording without the host it came from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from umtrace.model.clock import ClockPair
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.version import __version__

#: Major: older readers must refuse. Minor: they may read on.
FORMAT = (1, 2)

_LAST_NS = 2**63 - 1  # in the year 2262
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The explanation of one recording; keys of a newer minor version are kept in ``extra``."""

    tier: str
    clock: ClockPair  #: read when the probes were attached
    format: tuple[int, int] = FORMAT
    umtrace: str = __version__  #: version that wrote it
    host: str = ""
    boot_id: str = ""
    kernel: str = ""
    command: tuple[str, ...] = ()
    plan: tuple[PlanLine, ...] = ()  #: probes with the reason of each choice
    filters: dict[str, Any] = field(default_factory=dict)
    tables: tuple[str, ...] = ()  #: the kinds of table that may be there
    state: str = "open"  #: open while written, closed when finished or repaired
    start_ns: int = 0  #: CLOCK_REALTIME
    end_ns: int | None = None  #: CLOCK_REALTIME; None while open
    clock_end: ClockPair | None = None  #: read at the end: shows how the clocks drifted
    writer_pid: int | None = None
    losses: LossReport = field(default_factory=LossReport)
    notes: tuple[str, ...] = ()  #: what could not be written, or saved by a repair
    rows: dict[str, int] = field(default_factory=dict)  #: of each table, once closed
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_this_host(
        cls,
        *,
        tier: str,
        clock: ClockPair | None = None,
        command: Sequence[str] = (),
        plan: Sequence[PlanLine] = (),
        filters: Mapping[str, Any] | None = None,
    ) -> Meta:
        """Describe a recording that starts now, here."""
        host = os.uname()
        clock = clock or ClockPair.now()
        return cls(
            tier=tier,
            clock=clock,
            host=host.nodename,
            boot_id=_boot_id(),
            kernel=f"{host.release} {host.version} {host.machine}",
            command=tuple(command),
            plan=tuple(plan),
            filters=dict(filters or {}),
            start_ns=clock.realtime_ns,
        )

    @property
    def is_open(self) -> bool:
        """Whether the recording was not finished: it is being written, or was cut short."""
        return self.state != "closed"

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping ready for JSON, unknown keys included."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        own["format"] = "{}.{}".format(*self.format)
        own["clock"] = _clock_to_dict(self.clock)
        own["clock_end"] = self.clock_end and _clock_to_dict(self.clock_end)
        own["losses"] = self.losses.to_dict()
        own["plan"] = [line.to_dict() for line in self.plan]
        return {**own, **self.extra}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Meta:
        """Build it from parsed JSON; ValueError names the key that is missing or wrong."""
        end = _get(raw, "clock_end", (dict, type(None)), None)
        known = {f.name for f in fields(cls)}
        return cls(
            tier=_get(raw, "tier", str),
            clock=_clock(_get(raw, "clock", dict), "clock"),
            format=format_of(raw),
            umtrace=_get(raw, "umtrace", str, "unknown"),
            host=_get(raw, "host", str, ""),
            boot_id=_get(raw, "boot_id", str, ""),
            kernel=_get(raw, "kernel", str, ""),
            command=_items(raw, "command", str),
            plan=tuple(PlanLine.from_dict(_strings(one)) for one in _items(raw, "plan", dict)),
            filters=_get(raw, "filters", dict, {}),
            tables=_items(raw, "tables", str),
            state=_get(raw, "state", str, "open"),
            start_ns=_ns(raw, "start_ns", 0),
            end_ns=None if raw.get("end_ns") is None else _ns(raw, "end_ns"),
            clock_end=None if end is None else _clock(end, "clock_end"),
            writer_pid=_get(raw, "writer_pid", (int, type(None)), None),
            losses=LossReport.from_dict(_get(raw, "losses", dict, {})),
            notes=_items(raw, "notes", str),
            rows=_counts(raw, "rows"),
            extra={key: value for key, value in raw.items() if key not in known},
        )


def format_of(raw: Mapping[str, Any]) -> tuple[int, int]:
    """Return the format version as (major, minor); ValueError when there is none."""
    value = raw.get("format")
    major, _, minor = str(value).partition(".")
    if isinstance(value, bool) or not major.isdecimal() or not (minor or "0").isdecimal():
        raise ValueError("no format version")
    return int(major), int(minor or "0")


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _get(raw: Mapping[str, Any], key: str, kind: Any, *default: Any) -> Any:
    value = raw.get(key, *default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is missing or not of its type")  # noqa: TRY004
    return value


def _ns(raw: Mapping[str, Any], key: str, *default: int) -> int:
    value: int = _get(raw, key, int, *default)
    if not 0 <= value <= _LAST_NS:
        raise ValueError(f"{key} is no time")
    return value


def _items(raw: Mapping[str, Any], key: str, kind: type[_T]) -> tuple[_T, ...]:
    values = _get(raw, key, list, [])
    if not all(isinstance(value, kind) for value in values):
        raise ValueError(f"{key} holds something that is not a {kind.__name__}")
    return tuple(values)


def _counts(raw: Mapping[str, Any], key: str) -> dict[str, int]:
    counts = _get(raw, key, dict, {})
    if not all(isinstance(count, int) for count in counts.values()):
        raise ValueError(f"{key} holds something that is not a number")
    return {str(name): int(count) for name, count in counts.items()}


def _strings(step: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in step.items()}


def _clock(raw: Mapping[str, Any], key: str) -> ClockPair:
    try:
        return ClockPair(_ns(raw, "monotonic_ns"), _ns(raw, "realtime_ns"))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _clock_to_dict(clock: ClockPair) -> dict[str, int]:
    return {"monotonic_ns": clock.monotonic_ns, "realtime_ns": clock.realtime_ns}


def encode(meta: Meta) -> bytes:
    """Return the bytes of ``meta.json``."""
    return (json.dumps(meta.to_dict(), indent=2) + "\n").encode()
