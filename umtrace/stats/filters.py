"""Which rows to keep: one value for every command, applied to record batches."""

from __future__ import annotations

import errno as errno_names
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from umtrace.model.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

MODES = ("sync", "lazy")
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_LARGER = {"": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}  # alone: seconds
_LONGEST = 2**63 - 1  # ns, 292 years
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-zµμ]*)")
#: column of a field -> others in which it may match as well
ALSO = {"container": ("container_name",), "unit": ("actor_unit",)}
_TEXTS = frozenset(
    {"comm", "container", "fstype", "mode", "origin", "owner", "pod", "unit", "image"}
)
_COLUMNS = {
    "pid": "pid",
    "comm": "comm",
    "cgroup": "cgroup_id",
    "container": "container",
    "owner": "owner",
    "pod": "pod",
    "unit": "unit",
    "image": "image",
    "by_command": "by_command",
    "mntns": "mntns",
    "fstype": "fstype",
    "mode": "mode",
    "origin": "origin",
    "min_latency_ns": "latency_ns",
    "errno": "errno",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """A row passes if it matches every field that is given; a null never matches.

    A field with several values matches any of them. Those of texts are shell patterns (``*``,
    ``?``, ``[...]``), case-sensitive. ``container`` matches the id, the beginning of an id of 64
    digits, and the name; ``unit`` also the unit of the task that unmounted.
    """

    pid: tuple[int, ...] = ()  #: thread group ids
    comm: tuple[str, ...] = ()
    cgroup: tuple[int, ...] = ()  #: cgroup v2 ids
    container: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    pod: tuple[str, ...] = ()  #: namespace/name, or the name alone
    unit: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    by_command: tuple[bool, ...] = ()  #: of the recorded command, or not
    mntns: tuple[int, ...] = ()  #: inode numbers of mount namespaces
    fstype: tuple[str, ...] = ()
    mode: tuple[str, ...] = ()  #: sync, lazy
    origin: tuple[str, ...] = ()  #: what took the mounts down, ``model.kinds.ORIGINS``
    min_latency_ns: int | None = None  #: latency at least this
    errno: tuple[int, ...] = ()  #: positive, 0 for success

    @property
    def is_empty(self) -> bool:
        """Whether every row passes."""
        return not self._given

    @property
    def columns(self) -> list[str]:
        """The row columns that `apply` reads."""
        return [*self.asked, *(also for name in self.asked for also in ALSO.get(name, ()))]

    @property
    def asked(self) -> list[str]:
        """The row columns that it asks for, one for each field."""
        return [_COLUMNS[name] for name in self._given]

    @property
    def _given(self) -> list[str]:
        return [f.name for f in fields(self) if getattr(self, f.name) not in ((), None)]

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows that pass, in order; has at least the columns `columns`."""
        from umtrace.stats.matching import matching  # noqa: PLC0415 - options need no Arrow

        given = {_COLUMNS[name]: getattr(self, name) for name in self._given}
        return matching(given, batch)

    def describe(self) -> str:
        """Return the filter in the words of the command line, empty if there is none."""
        words = ["--only-command"] if self.by_command == (True,) else []
        for name in self._given:
            if name == "by_command":
                continue
            option = "--" + name.removesuffix("_ns").replace("_", "-")
            words += [f"{option} {text}" for text in self._texts(name)]
        return " ".join(words)

    def _texts(self, name: str) -> list[str]:
        if name == "min_latency_ns":
            return [_duration_text(self.min_latency_ns or 0)]
        if name == "errno":
            return [_errno_text(number) for number in self.errno]
        return [str(value) for value in getattr(self, name)]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are given, ready for JSON."""
        data = asdict(self)
        return {
            name: list(data[name]) if isinstance(data[name], tuple) else data[name]
            for name in self._given
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RowFilter:
        """Return the filter that `to_dict` wrote.

        Raises
        ------
        UsageError
            A field that this version does not know: it would filter too little. Or a value
            of another type, which no row can match.
        """
        unknown = sorted(set(data) - set(_COLUMNS))
        if unknown:
            known = ", ".join(_COLUMNS).replace("min_latency_ns", "min_latency")
            raise UsageError(f"unknown filter: {', '.join(unknown)}; there are: {known}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list | tuple) else value
            for name, value in data.items()
        }
        for name, value in values.items():
            _check_type(name, value)
        return cls(**values)


def _check_type(name: str, value: Any) -> None:
    """Raise UsageError for what no row can match."""
    wanted = bool if name == "by_command" else str if name in _TEXTS else int
    if name == "min_latency_ns":
        values = () if value is None else (value,)
    else:
        values = value if isinstance(value, tuple) else (value,)
        if not isinstance(value, tuple):
            raise UsageError(f"filter {name}: {value!r:.40} is no list")
    for each in values:
        if not isinstance(each, wanted) or (isinstance(each, bool) and wanted is not bool):
            kind = {str: "a text", int: "a number", bool: "true or false"}[wanted]
            raise UsageError(f"filter {name}: {each!r:.40} is not {kind}")


def parse_errno(text: str) -> int:
    """Return the number of an errno given as name (``EBUSY``), number (``16``) or ``ok``.

    Raises
    ------
    UsageError
        There is no such errno.
    """
    name = text.strip().upper()
    if name == "OK":
        return 0
    if name.isascii() and name.isdigit() and (name == "0" or int(name) in errno_names.errorcode):
        return int(name)
    number = getattr(errno_names, name, None) if name.startswith("E") else None
    if not isinstance(number, int):
        raise UsageError(f"'{text}' is no errno; give a name as EBUSY, a number as 16, or ok")
    return number


def parse_duration(text: str) -> int:
    """Return a duration in ns: ``250us``, ``1.5 ms``, ``2s``, ``1m``; a number alone is seconds.

    Raises
    ------
    UsageError
        It is not a duration, or is not within 63 bits of ns.
    """
    match = _DURATION.fullmatch(text.strip())
    size = (_UNITS | _LARGER).get(match[2]) if match else None
    if match is None or size is None:
        raise UsageError(
            f"'{text}' is no duration; give seconds, or a number with its unit, as 250us, 10s or 1m"
        )
    ns = float(match[1]) * size
    if ns > _LONGEST:
        raise UsageError(f"'{text}' is longer than umtrace can count, 292 years")
    return round(ns)


def _duration_text(ns: int) -> str:
    units = (u for u in ("s", "ms", "us", "ns") if ns % _UNITS[u] == 0)
    unit = next(units)
    return f"{ns // _UNITS[unit]}{unit}"


def _errno_text(number: int) -> str:
    return errno_names.errorcode.get(number, str(number)) if number else "ok"
