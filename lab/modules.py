"""Pick the part of a kernel's modules that a guest needs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lab import host, unpack
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKED = re.compile(r"\.(xz|gz|zst)$")
INSMOD = re.compile(r"insmod (\S+)")


def select(source: Path, target: Path, patterns: Iterable[str]) -> None:
    """Copy the folders or files named by `patterns`, and what depmod reads, to `target`."""
    target.mkdir(parents=True)
    for listing in source.glob("modules.*"):
        shutil.copy2(listing, target)
    for pattern in patterns:
        for path in sorted((source / "kernel").glob(pattern)):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, place)
            else:
                shutil.copy2(path, place)


def strip(tree: Path) -> None:
    """Take debug information, which is most of it, out of the modules below `tree`; BTF stays."""
    files = sorted(tree.rglob("*.ko"))
    if files:
        host.run(["strip", "--strip-debug", *files])


def index(tree: Path, release: str) -> None:
    """Write the files modprobe reads, for the modules in ``tree/lib/modules/release``."""
    host.run(["depmod", "-b", tree, release])


def boot_order(tree: Path, release: str, names: Iterable[str]) -> list[Path]:
    """Return the module files behind `names` with all they depend on, in loading order.

    None for a name that is built in, or that the kernel lacks.
    """
    ordered: dict[Path, None] = {}
    for name in names:
        ordered.update(dict.fromkeys(_closure(tree, release, name)))
    return list(ordered)


def file_name(module: Path) -> str:
    """Return what a module's file is called when it is unpacked."""
    return PACKED.sub("", module.name)


def plain(module: Path) -> bytes:
    """Return a module's ELF file, unpacked when the kernel ships it compressed."""
    return unpack.plain(module.read_bytes())


def _closure(tree: Path, release: str, name: str) -> Iterator[Path]:
    # -C: the host's own blacklists and aliases are not the guest's.
    options = ["-C", "/dev/null", "-d", str(tree), "-S", release, "--show-depends", name]
    try:
        listing = host.run(["modprobe", *options])
    except LabError:
        return  # this kernel does not have it
    for match in INSMOD.finditer(listing):
        yield Path(match[1])
