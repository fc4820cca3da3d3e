"""Recordings and summaries of hosts that do not exist."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

from tests.stats.rows import T0_NS, batch_of, container_host
from umtrace.cli.main import run as main
from umtrace.fleet.file import encode
from umtrace.fleet.storage import storage_of
from umtrace.fleet.summarize import summaries_of
from umtrace.model.clock import ClockPair
from umtrace.recording import Meta, Recording, RecordingWriter

HOUR_NS = 3_600_000_000_000
KERNEL = "6.12.1 #1 SMP PREEMPT_DYNAMIC x86_64"


def meta(host="web1", *, boot="a" * 32, start_ns=T0_NS, **given):
    clock = ClockPair(5_000_000_000, start_ns)
    return Meta(**{
        "tier": "fentry", "clock": clock, "clock_end": clock, "host": host, "boot_id": boot,
        "kernel": KERNEL, "start_ns": start_ns, "end_ns": start_ns + HOUR_NS, **given,
    })  # fmt: skip


def record(path, rows=None, *, close=True, **given):
    """Write a recording of these rows; returns its path."""
    rows = container_host() if rows is None else rows
    path.parent.mkdir(exist_ok=True)
    with RecordingWriter(path, meta(**given)) as writer:
        if rows:
            writer.append("umounts", batch_of(rows))
    if not close:
        words = json.loads((path / "meta.json").read_text())
        (path / "meta.json").write_text(json.dumps(words | {"state": "open", "end_ns": None}))
    return path


def summarize(recording, folder):
    """Write the summaries of a recording; returns their places."""
    storage, places = storage_of(str(folder)), []
    for about, table in summaries_of(Recording.open(recording)):
        storage.put(about.place, encode(about, table))
        places.append(about.place)
    return places


def cli_of(name, *words):
    """Return exit status and output of a command of `umtrace fleet`."""
    with redirect_stdout(io.StringIO()) as out:
        status = main(["fleet", name, *map(str, words)])
    return status, out.getvalue()
