"""Ring buffer pages built by hand, and captures of real kernels."""

from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from umtrace.records.events import Origin
from umtrace.sources.ftrace.formats import parse_format
from umtrace.sources.ftrace.lineage import Lineage
from umtrace.sources.ftrace.records import Decoder, Record
from umtrace.sources.ftrace.translate import Translator

FIXTURES = Path(__file__).with_name("fixtures")
PAGE = 4096


def page(ts, *words, missed=False):
    """A page that begins at ``ts`` and holds these 32-bit words."""
    body = struct.pack(f"<{len(words)}I", *words)
    commit = len(body) | (1 << 31 if missed else 0)
    return struct.pack("<QQ", ts, commit) + body


def head(kind, delta):
    return delta << 5 | kind


@dataclass
class Capture:
    release: str
    shift: int
    ledger: dict
    pages: list
    cpus: list
    decoder: Decoder

    def records(self):
        return sorted(self.decoder.decode(self.pages, self.cpus), key=lambda r: r.ts_ns)


def capture(path):
    with zipfile.ZipFile(path) as archive:
        info, ledger, formats = (
            json.loads(archive.read(f"{name}.json")) for name in ("info", "ledger", "formats")
        )
        raw = archive.read("pages.bin")
    pages = [raw[at : at + PAGE] for at in range(0, len(raw), PAGE)]
    decoder = Decoder([parse_format(n, text) for n, text in formats.items()], PAGE)
    return Capture(info["release"], info["shift"], ledger, pages, info["cpus"], decoder)


def translator(shift=0, origin=Origin.NS_EXIT):
    return Translator(Lineage(), lambda _address: origin, shift=shift, watching=False)


def record(ts, name, tid=7, cpu=0, **fields):
    return Record(ts, tid, cpu, name, fields)
