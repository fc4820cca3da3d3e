"""One line per umount, as it happens."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from umtrace.model.hangs import Hang
from umtrace.present.terminal import clean
from umtrace.present.units import NULL, clock, duration, padded
from umtrace.present.waited import behind_row

HEADER = (
    f"{'TIME (UTC)':<12} {'PID':>7} {'COMM':<12} {'MODE':<5} {'RESULT':<7} "
    f"{'LATENCY':>8} {'RCU WAIT':>8} PATH"
)
_UNKNOWN = "-: unknown"
_INDENT = " " * 4
_MOST_RUNNING = 3
_WORTH_NS = 1_000_000
#: where an umount is that has not ended, by `Hang.phase`
IN_PHASE = {
    "other": "in another phase",
    "lookup": "in the path lookup",
    "lock": "waiting for the namespace lock",
    "tree": "in the umount tree",
    "rcu": "in the RCU wait",
    "put": "in the mntput loop",
    "shutdown": "in the fs shutdown",
}


def header(width: int | None = None) -> str:
    """Return the head of the lines: what the columns are, and what `-` is."""
    whole = f"{HEADER} ({_UNKNOWN})"
    return whole if width is None or len(whole) <= width else f"{_UNKNOWN}\n{HEADER}"


def line(row: Mapping[str, Any], width: int | None = None, result: str = "") -> str:
    """Return the line of one row.

    Parameters
    ----------
    row : mapping
        A row of ``model.umounts.SCHEMA`` as Python values, ``t_start`` in ns.
    width : int, optional
        Columns of the terminal; a longer path loses its beginning. None: all of it.
    result : str
        What is shown instead of the result of the call.
    """
    text = (
        f"{clock(row['t_start']):<12} {row['pid'] or NULL:>7} "
        f"{clean(row['comm'] or NULL)[:12]:<12} "
        f"{row['mode'] or _origin(row):<5} {result or _result(row):<7} "
        f"{padded(row['latency_ns'])} {padded(row['rcu_ns'])} "
    )
    return clean(text) + _fit(_where(row), None if width is None else width - len(text))


def hang_lines(hang: Hang, width: int | None = None) -> list[str]:
    """Return the line of an umount that has not ended; its latency is the time so far.

    Where the phase does not fit beside the path, it has a line of its own.
    """
    row = {**hang.row, "latency_ns": hang.so_far_ns, "rcu_ns": None, "complete": True}
    phase = f"({IN_PHASE[hang.phase]} for {duration(hang.phase_ns)})"
    return _beside(line(row, result="hangs"), phase, width, line(row, width, result="hangs"))


def behind_lines(row: Mapping[str, Any], width: int | None = None) -> list[str]:
    """Return what says behind whom an umount waited for the namespace lock, if for long."""
    text = behind_row(row) if (row["lock_ns"] or 0) >= _WORTH_NS else ""
    if not text:
        return []
    where = _fit(_where(row), None if width is None else width - len(_INDENT))
    return _beside(clean(f"  {text}:"), where, width)


def _beside(text: str, more: str, width: int | None, alone: str = "") -> list[str]:
    """Return both on one line if they fit, else on two; ``alone`` is ``text`` without more."""
    one = f"{text} {more}"
    return [one] if width is None or len(one) <= width else [alone or text, _INDENT + more]


def still_running(hangs: Sequence[Hang]) -> Iterator[str]:
    """Yield a sentence for each umount that had not ended, at most `_MOST_RUNNING`."""
    for hang in hangs[:_MOST_RUNNING]:
        row = hang.row
        what = clean(row["path"] or "an unknown path")
        yield (
            f"{clean(row['comm'] or NULL)} (pid {row['pid'] or NULL}) still unmounts {what}: "
            f"{duration(hang.so_far_ns)} so far, {IN_PHASE[hang.phase]} "
            f"for {duration(hang.phase_ns)}"
        )
    if len(hangs) > _MOST_RUNNING:
        yield f"{len(hangs) - _MOST_RUNNING} more umounts had not ended"


def line_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch as ``line`` takes them; Arrow would make pandas times."""
    index = batch.schema.get_field_index("t_start")
    plain = batch.set_column(index, "t_start", batch.column(index).cast(pa.int64()))
    rows: list[dict[str, Any]] = plain.to_pylist()
    return rows


def _origin(row: Mapping[str, Any]) -> str:
    return "ns" if row["origin"] == "ns-exit" else NULL


def _result(row: Mapping[str, Any]) -> str:
    number = row["errno"]
    if number is None:
        return NULL
    return errno.errorcode.get(number, str(number)) if number else "ok"


def _where(row: Mapping[str, Any]) -> str:
    path = clean(row["path"] or "")
    if row["origin"] == "ns-exit":
        path = f"(namespace {row['mntns'] or NULL}, {_mounts(row['n_mounts'])})"
    if not row["complete"]:
        path = f"{path or NULL} (incomplete: {clean(row['incomplete_why'] or NULL)})"
    return path or NULL


def _mounts(number: int | None) -> str:
    return "mounts unknown" if number is None else f"{number} mounts"


def _fit(text: str, width: int | None) -> str:
    if width is None or len(text) <= max(width, 1):
        return text
    return "…" + text[len(text) - max(width, 1) + 1 :]
