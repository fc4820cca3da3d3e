"""Numbers and names that cannot identify a host."""

from __future__ import annotations

import math
import re

#: parts of a release that say which distribution built the kernel, and nothing else
_BUILDERS = (
    (re.compile(r"[+~-]deb\d|-\d+-amd64$|-\d+-arm64$"), "Debian"),
    (re.compile(r"-(?:generic|lowlatency|aws|azure|gcp|oracle)$"), "Ubuntu"),
    (re.compile(r"\.el\d{1,2}[._]"), "Enterprise Linux"),
    (re.compile(r"\.fc\d{2}\."), "Fedora"),
    (re.compile(r"\.amzn\d"), "Amazon Linux"),
    (re.compile(r"-arch\d"), "Arch Linux"),
    (re.compile(r"-default$"), "SUSE"),
)
_VERSION = re.compile(r"(\d{1,2})\.(\d{1,3})(?:\.(\d{1,4}))?")
_DIGITS = 3
_EXACT = 10_000
_SIZES = (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
_SIZE_OF = dict(_SIZES)
#: what `number` writes, as a regular expression
NUMBER = r"\d{1,8}(?:\.\d{1,2})?[kMGT]?"


def kernel_version(release: str) -> str:
    """Return version and builder of a release (``uname -r``), without a word of the host's owner.

    ``6.12.118+deb13-amd64`` is ``6.12.118 (Debian)``; ``6.6.1-example-prod`` is ``6.6.1``.
    """
    found = _VERSION.match(release)
    if not found:
        return "unknown"
    builder = next((name for pattern, name in _BUILDERS if pattern.search(release)), None)
    return found[0] if builder is None else f"{found[0]} ({builder})"


def cpus(number: int) -> str:
    """Return a range of CPUs between powers of two: ``1``, ``2 to 3``, ``64 to 127``."""
    low = 1 << (max(number, 1).bit_length() - 1)
    return "1" if low == 1 else f"{low} to {2 * low - 1}"


def number(count: int) -> str:
    """Return a count, from 10,000 on with three significant digits: ``12.3k``, ``4.00M``."""
    if count < _EXACT:
        return str(count)
    for unit, size in _SIZES:
        if count >= 0.9995 * size:
            value = count / size
            return f"{value:.{max(_DIGITS - len(str(int(value))), 0)}f}{unit}"
    return str(count)


def read_number(text: str) -> int:
    """Return the count that `number` wrote."""
    if text[-1:] in _SIZE_OF:
        return round(float(text[:-1]) * _SIZE_OF[text[-1]])
    return int(text)


def time(ns: float | None) -> str:
    """Return a duration in ASCII with two significant digits: ``52 us``, ``1.1 ms``, ``-``."""
    if ns is None:
        return "-"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= 0.995 * size:
            value = ns / size
            return f"{_two(value):.{_decimals(value)}f} {unit}"
    return f"{round(_two(ns)) if ns else 0} ns"


def _decimals(value: float) -> int:
    """Return how many decimals give two significant digits."""
    return max(1 - math.floor(math.log10(_two(value))), 0)


def _two(value: float) -> float:
    return float(f"{value:.2g}")
