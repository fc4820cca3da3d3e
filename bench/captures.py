"""Raw pages of trace buffers of real kernels, with what reads them."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umtrace.sources.ftrace.formats import parse_format
from umtrace.sources.ftrace.records import Decoder, Record

FIXTURES = Path(__file__).parents[1] / "tests" / "sources" / "ftrace" / "fixtures"
PAGE = 4096


@dataclass
class Capture:
    """What one guest recorded, and the ledger of what it did."""

    release: str
    shift: int
    ledger: dict[str, Any]
    pages: list[bytes]
    cpus: list[int]
    decoder: Decoder

    def records(self) -> list[Record]:
        """Return them in order of time."""
        return sorted(self.decoder.decode(self.pages, self.cpus), key=lambda r: r.ts_ns)


def capture(path: Path) -> Capture:
    """Read one; tools/ftrace-fixture makes them."""
    with zipfile.ZipFile(path) as archive:
        info, ledger, formats = (
            json.loads(archive.read(f"{name}.json")) for name in ("info", "ledger", "formats")
        )
        raw = archive.read("pages.bin")
    pages = [raw[at : at + PAGE] for at in range(0, len(raw), PAGE)]
    decoder = Decoder([parse_format(n, text) for n, text in formats.items()], PAGE)
    return Capture(info["release"], info["shift"], ledger, pages, info["cpus"], decoder)
