"""A recording in which every text that others choose tries to take over a terminal."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from umtrace.model.events import EventBatch
from umtrace.model.plan_line import PlanLine
from umtrace.recording import Recording, RecordingWriter
from umtrace.recording.tables import EBUSY, HOLDERS, UMOUNTS

#: colours, CSI as one byte, text that runs backwards, line ends of several kinds, tags
NASTY = "\x1b[31m\x9b2J\u202e\u2028\u2029\x85\x07\x7f\x00\r\u200b\U000e0041\nFORGED"
NASTY_COMM = "\x1b[1m\x9b\u202e\nFORGED"
LAST = "tail"
_SOURCE = Path("recordings/lab-ebusy.umt")


def hostile(text):
    return NASTY.replace("\x00", "") + text


def make(path):
    """Write it: every row, event, name, holder and line of meta.json is hostile."""
    old = Recording.open(_SOURCE)
    meta = dataclasses.replace(
        old.meta,
        host=hostile("host"),
        kernel=hostile("kernel"),
        command=(hostile("command"), "x"),
        tier=hostile("tier"),
        umtrace=hostile("version"),
        notes=(hostile("note"),),
        plan=tuple(
            PlanLine.from_dict({k: hostile(v) for k, v in line.to_dict().items()})
            for line in old.meta.plan
        ),
        filters={"comm": ["*", hostile("x")]},
        extra={**old.meta.extra, "imported": hostile("trace")},
    )
    with RecordingWriter(path, meta) as writer:
        for batch in old.event_batches():
            writer.write(EventBatch(_events(batch.events), _names(batch.names)))
        for kind in (UMOUNTS, HOLDERS, EBUSY):
            for batch in old.batches(kind.name):
                writer.append(kind.name, _texts(batch))
    return path


def _events(events):
    events = events.copy()
    events["comm"] = NASTY_COMM.encode()[:16]
    return events


def _names(names):
    names = names.copy()
    for number, name in enumerate(names):
        length = int(name["len"])
        text = (hostile("").encode() + bytes(name["text"].tobytes())[:length])[:232]
        names["text"][number] = np.void(text.ljust(232, b"\0"))
        names["len"][number] = len(text)
    return names


def _texts(batch):
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if not pa.types.is_string(field.type):
            columns.append(column)
            continue
        values = [None if v is None else _inside(v) for v in column.to_pylist()]
        columns.append(pa.array(values, pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _inside(value):
    try:
        plain = json.loads(value)
    except ValueError:
        return hostile(value)
    return json.dumps(_walk(plain), ensure_ascii=False) if plain else value


def _walk(plain):
    if isinstance(plain, dict):
        return {key: _walk(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_walk(value) for value in plain]
    return hostile(plain) if isinstance(plain, str) else plain
