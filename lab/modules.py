"""Pick the part of a kernel's modules that a guest needs."""

from __future__ import annotations

import lzma
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lab import host
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    if not any(target.rglob("*.ko*")):
        raise LabError(f"the kernel package has no modules in {source.name}")


def index(tree: Path, release: str) -> None:
    """Write the files modprobe reads, for the modules in ``tree/lib/modules/release``."""
    host.run(["depmod", "-b", tree, release])


def boot_order(tree: Path, release: str, names: Iterable[str]) -> list[Path]:
    """Return the module files behind `names` with all they depend on, in loading order."""
    ordered: dict[Path, None] = {}
    for name in names:
        ordered.update(dict.fromkeys(_closure(tree, release, name)))
    if not ordered:
        raise LabError(f"{release}: none of the modules the guest boots with was found")
    return list(ordered)


def plain(module: Path) -> bytes:
    """Return a module's ELF file, unpacked when the kernel ships it compressed."""
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def _closure(tree: Path, release: str, name: str) -> Iterator[Path]:
    # -C: the host's own blacklists and aliases are not the guest's.
    options = ["-C", "/dev/null", "-d", str(tree), "-S", release, "--show-depends", name]
    try:
        listing = host.run(["modprobe", *options])
    except LabError:
        return  # this kernel does not have it
    for match in INSMOD.finditer(listing):
        yield Path(match[1])
