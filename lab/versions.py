"""Choose a kernel package from what apt says a mirror serves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import zip_longest
from typing import TYPE_CHECKING

from lab.errors import NotServedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.table import Kernel

# A full version (three numbers) keeps meta packages such as linux-image-6.12-amd64 out, the end
# keeps out -unsigned and -dbg.
IMAGE = re.compile(r"linux-image-\d+\.\d+\.\d+\S*?-(?P<flavour>(?:cloud-|rt-)?amd64)")
PART = re.compile(r"linux-(?:base|binary|image|modules)-\S+")
DEPENDS = re.compile(r"(?P<name>\S+) \(= (?P<version>\S+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One version of one package in one suite."""

    name: str
    version: str
    suite: str


def parse_madison(text: str) -> list[Package]:
    """Read the output of ``apt-cache madison``, source packages left out."""
    packages = []
    for line in text.splitlines():
        name, _, rest = (part.strip() for part in line.partition("|"))
        version, _, origin = (part.strip() for part in rest.partition("|"))
        words = origin.split()
        if words and words[-1] == "Packages":
            packages.append(Package(name=name, version=version, suite=words[1].partition("/")[0]))
    return packages


def flavour_of(name: str) -> str | None:
    """Return the flavour of a bootable kernel's package, None for any other package."""
    match = IMAGE.fullmatch(name)
    return match["flavour"] if match else None


def choose(kernel: Kernel, packages: Iterable[Package]) -> Package:
    """Return the newest package that fits the row of the table."""
    fitting = [
        package
        for package in packages
        if package.suite in kernel.suites
        and package.version.startswith(kernel.series)
        and flavour_of(package.name) == kernel.flavour
    ]
    if not fitting:
        suites = " or ".join(kernel.suites)
        raise NotServedError(
            f"{kernel.name}: the mirror serves no {kernel.flavour} kernel "
            f"{kernel.series}* in {suites}"
        )
    return max(fitting, key=lambda package: VERSION_KEY(package.version))


def parts_of(show: str) -> list[tuple[str, str]]:
    """Return the (name, version) of the packages that carry the rest of a split kernel.

    `show` is the output of ``apt-cache show`` for one version of the image's package.
    """
    found = []
    for line in show.splitlines():
        if line.startswith("Depends:"):
            found += [(m["name"], m["version"]) for m in DEPENDS.finditer(line)]
    return [(name, version) for name, version in dict.fromkeys(found) if PART.fullmatch(name)]


def compare(left: str, right: str) -> int:
    """Compare two Debian versions: negative when `left` is older, 0 when equal."""
    for a, b in zip_longest(_fields(left), _fields(right), fillvalue="0"):
        if difference := _compare_field(a, b):
            return difference
    return 0


VERSION_KEY = cmp_to_key(compare)


def _fields(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return epoch, upstream, revision


def _compare_field(left: str, right: str) -> int:
    # re.split with a group: text at even places, digits at odd ones.
    pairs = zip_longest(re.split(r"(\d+)", left), re.split(r"(\d+)", right), fillvalue="")
    for index, (a, b) in enumerate(pairs):
        difference = int(a or "0") - int(b or "0") if index % 2 else _compare_text(a, b)
        if difference:
            return difference
    return 0


def _compare_text(left: str, right: str) -> int:
    for a, b in zip_longest(map(_weight, left), map(_weight, right), fillvalue=0):
        if a != b:
            return a - b
    return 0


def _weight(character: str) -> int:
    # deb-version(7): a tilde sorts before the end, letters before the rest.
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
