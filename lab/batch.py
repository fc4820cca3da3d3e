"""The same command on many kernels, a few guests at a time."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import boot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lab.job import Job
    from lab.ready import Ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One kernel's run, with both of its outputs in the order they came."""

    name: str
    release: str
    outcome: boot.Outcome
    output: bytes

    @property
    def summary(self) -> str:
        """One line that says how it went."""
        outcome = self.outcome
        word = "ok" if outcome.status == 0 else f"FAILED ({outcome.status})"
        trouble = f"  {outcome.trouble}" if outcome.trouble else ""
        return f"{self.name:14} {self.release:26} {word:12} {outcome.seconds:7.1f} s{trouble}"


def run(kernels: Sequence[Ready], job: Job, *, guests: int, out: Path | None) -> Iterator[Result]:
    """Yield each kernel's result as it ends; files go to a folder per kernel below `out`."""
    with ThreadPoolExecutor(guests) as pool:
        try:
            waiting = [pool.submit(_one, ready, job, out) for ready in kernels]
            for future in as_completed(waiting):
                yield future.result()
        finally:
            # Nothing is left to stop unless the caller gave up early.
            pool.shutdown(wait=False, cancel_futures=True)
            boot.stop_all()


def _one(ready: Ready, job: Job, out: Path | None) -> Result:
    output = io.BytesIO()
    place = out / ready.name if out is not None else None
    outcome = boot.run(ready, job, out=place, stdout=output, stderr=output)
    if place is not None:
        (place / "output.log").write_bytes(output.getvalue())
        (place / "console.log").write_text(outcome.console, encoding="utf-8")
    return Result(
        name=ready.name, release=ready.kernel.release, outcome=outcome, output=output.getvalue()
    )
