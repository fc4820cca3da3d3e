"""What a summary says about itself: which host, boot, recording and hour it counts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from umtrace.model.clock import utc
from umtrace.model.errors import DamagedInputError
from umtrace.model.losses import LossReport
from umtrace.version import __version__

#: version of the summary format. Major: older readers must refuse. Minor: they may read on.
FORMAT = (1, 0)

STATES = ("closed", "open", "cut-short")

_LAST_NS = 2**63 - 1
_MOST_TEXT = 512
_MOST_PROBLEMS = 20
_NO_HOST = "__HIVE_DEFAULT_PARTITION__"  # as other writers of partitions name null
_LONGEST = 200  # bytes of a name in a file system, less what we add
_DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
_BOOT = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """One hour of one recording of one host; times are ns of the host's wall clock.

    Attributes
    ----------
    host, boot_id, start_ns, hour_ns : str, str, int, int
        The identity: two summaries with the same count the same umounts.
    end_ns : int or None
        End of the recording; None while it is open.
    format : str
        Version of the format of the recording.
    losses : LossReport
        Of the whole recording, in one of its hours; of the hour, from a running recorder.
    state : str
        Of the recording: ``closed``, ``open`` (still written) or ``cut-short``.
    filtered : tuple of str
        Fields of the filter that the recorder was given; their values may be names.
    folded_owners : int
        Owners that are counted as one.
    clock_step_ns : int or None
        By how much the wall clock was set meanwhile; None is unknown.
    """

    host: str
    boot_id: str
    start_ns: int
    hour_ns: int
    end_ns: int | None = None
    kernel: str = ""
    tier: str = ""
    umtrace: str = __version__
    format: str = ""
    state: str = "closed"
    rows: int = 0
    filtered: tuple[str, ...] = ()
    losses: LossReport = field(default_factory=LossReport)
    problems: tuple[str, ...] = ()
    folded_owners: int = 0
    clock_step_ns: int | None = None

    @property
    def identity(self) -> tuple[str, int, int]:
        """Boot, start and hour: what is counted once of a host."""
        return self.boot_id, self.start_ns, self.hour_ns

    @property
    def place(self) -> str:
        """Path of the file below its folder; equal for equal identities."""
        when = utc(self.hour_ns)
        boot = self.boot_id[:8]
        if not _BOOT.fullmatch(boot):
            boot = hashlib.sha256(self.boot_id.encode()).hexdigest()[:8]
        name = f"{when:%H}-{self.start_ns}-{boot}.parquet"
        return f"{partition_of(self.host)}/day={when:%Y-%m-%d}/{name}"

    def to_json(self) -> str:
        """Return it as JSON text."""
        plain = {**asdict(self), "losses": self.losses.to_dict()}
        return json.dumps({"summary": "{}.{}".format(*FORMAT), **plain}, sort_keys=True)

    @classmethod
    def from_json(cls, text: bytes) -> About:
        """Read what `to_json` wrote; DamagedInputError for anything else."""
        try:
            raw = json.loads(text)
            if not isinstance(raw, dict):
                raise DamagedInputError("no JSON object")
            major = int(str(raw.get("summary")).partition(".")[0])
            if major > FORMAT[0]:
                raise NewerSummaryError(f"format {major} is newer than this umtrace reads")
            return _about(raw)
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise DamagedInputError(f"not a summary: {error}") from None


class NewerSummaryError(DamagedInputError):
    """A summary of a newer major version."""


def partition_of(host: str) -> str:
    """Return the name of a host's folder: no slash, no dot alone, not too long."""
    name = quote(host, safe="") or _NO_HOST
    if len(name) > _LONGEST:
        name = hashlib.sha256(host.encode()).hexdigest()
    return f"host={name}"


def host_of(partition: str) -> str | None:
    """Return the host of a folder; None where the name is no partition."""
    name = partition.removeprefix("host=")
    if name == partition or not name:
        return None
    return "" if name == _NO_HOST else unquote(name)


def day_of(partition: str) -> str | None:
    """Return the day of a folder, `2026-01-31`; None where the name is no partition."""
    match = _DAY.fullmatch(partition)
    return match[1] if match else None


def _about(raw: Mapping[str, Any]) -> About:
    end = raw.get("end_ns")
    step = raw.get("clock_step_ns")
    return About(
        host=_text(raw, "host"),
        boot_id=_text(raw, "boot_id"),
        start_ns=_time(raw, "start_ns"),
        hour_ns=_time(raw, "hour_ns"),
        end_ns=None if end is None else _time(raw, "end_ns"),
        kernel=_text(raw, "kernel"),
        tier=_text(raw, "tier"),
        umtrace=_text(raw, "umtrace"),
        format=_text(raw, "format"),
        state=_state(raw),
        rows=_time(raw, "rows"),
        filtered=_texts(raw, "filtered"),
        losses=LossReport.from_dict(_of(raw, "losses", dict, {})),
        problems=_texts(raw, "problems"),
        folded_owners=_time(raw, "folded_owners"),
        clock_step_ns=step if isinstance(step, int) and abs(step) <= _LAST_NS else None,
    )


def _of(raw: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = raw.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is not of its type")  # noqa: TRY004 - one kind of error
    return value


def _texts(raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(text)[:_MOST_TEXT] for text in _of(raw, key, list, [])[:_MOST_PROBLEMS])


def _text(raw: Mapping[str, Any], key: str) -> str:
    text: str = _of(raw, key, str, "")
    if len(text) > _MOST_TEXT:
        raise ValueError(f"{key} has {len(text)} characters")
    return text


def _state(raw: Mapping[str, Any]) -> str:
    state = _text(raw, "state") or "closed"
    if state not in STATES:
        raise ValueError("state is out of range")
    return state


def _time(raw: Mapping[str, Any], key: str) -> int:
    value: int = _of(raw, key, int, 0)
    if not 0 <= value <= _LAST_NS:
        raise ValueError(f"{key} is out of range")
    return value
