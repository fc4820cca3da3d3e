"""Set up one kernel: fetch its packages, take out what a boot needs, keep it in the cache."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import bzimage, cache, host, image, modules
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.archive import Archive
    from lab.table import Kernel, Table
    from lab.versions import Package

# Packages and unpacked tree at the worst moment; what stays is about 120 MiB.
NEED_MIB = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootable:
    """A kernel that is set up."""

    folder: Path
    release: str
    version: str

    @property
    def vmlinux(self) -> Path:
        """The ELF kernel."""
        return self.folder / "vmlinux"

    @property
    def modules(self) -> Path:
        """The image to mount on /lib/modules."""
        return self.folder / "modules.ext4"

    def boot_modules(self) -> list[tuple[str, bytes]]:
        """Return the (name, data) of the modules for the initramfs, in loading order."""
        return [(path.name, path.read_bytes()) for path in sorted((self.folder / "boot").iterdir())]


def load(root: Path, kernel: Kernel, table: Table) -> Bootable | None:
    """Return the kernel as last set up, None when it is not (or for an older recipe)."""
    facts = root / "kernels" / kernel.name / "facts.json"
    if not facts.is_file():
        return None
    read = json.loads(facts.read_text(encoding="utf-8"))
    if read["recipe"] != _recipe(table):
        return None
    return Bootable(folder=facts.parent.resolve(), release=read["release"], version=read["version"])


def set_up(root: Path, kernel: Kernel, table: Table, archive: Archive) -> Bootable:
    """Make the newest version of `kernel` bootable; the caller holds the cache's lock."""
    package = archive.pick(kernel)
    name = f"{package.name}_{package.version}_{_recipe(table)}"
    place = root / "kernels" / "store" / name
    if not (place / "facts.json").is_file():
        cache.need(root, NEED_MIB, f"setting up {kernel.name}")
        host.say(f"{kernel.name}: setting up {package.name} {package.version}")
        with cache.workspace(root) as work:
            _make(work, package, table, archive)
            place.parent.mkdir(parents=True, exist_ok=True)
            (work / "new").rename(place)
    cache.point(root / "kernels" / kernel.name, place)
    ready = load(root, kernel, table)
    if ready is None:
        raise LabError(f"{kernel.name}: the cache in {root} is damaged; run `python -m lab clean`")
    return ready


def _make(work: Path, package: Package, table: Table, archive: Archive) -> None:
    unpacked = _unpack(work, package, archive)
    release, tree = _modules_of(unpacked)
    new = work / "new"
    new.mkdir()
    (new / "vmlinux").write_bytes(bzimage.vmlinux(_boot_image(unpacked, tree).read_bytes()))
    stage = work / "stage"
    modules.select(tree, stage / "lib" / "modules" / release, table.module_folders)
    modules.index(stage, release)
    boot = new / "boot"
    boot.mkdir()
    order = modules.boot_order(stage, release, table.boot_modules)
    for number, module in enumerate(order):
        name = module.name.removesuffix(".xz")
        (boot / f"{number:02d}-{name}").write_bytes(modules.plain(module))
    image.build(stage / "lib" / "modules", new / "modules.ext4")
    facts = {"release": release, "version": package.version, "recipe": _recipe(table)}
    (new / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _unpack(work: Path, package: Package, archive: Archive) -> Path:
    packages, unpacked = work / "packages", work / "unpacked"
    packages.mkdir()
    for name, version in archive.parts(package):
        archive.download(name, version, packages)
    for file in packages.iterdir():
        host.run(["dpkg-deb", "-x", file, unpacked])
        file.unlink()
    return unpacked


def _modules_of(unpacked: Path) -> tuple[str, Path]:
    """Return the kernel's release and its modules; newer packages have them below /usr."""
    for base in ("usr/lib/modules", "lib/modules"):
        for tree in (unpacked / base).glob("*"):
            if (tree / "kernel").is_dir():
                return tree.name, tree
    raise LabError("the kernel's packages hold no modules")


def _boot_image(unpacked: Path, tree: Path) -> Path:
    for path in (tree / "vmlinuz", unpacked / "boot" / f"vmlinuz-{tree.name}"):
        if path.is_file():
            return path
    raise LabError("the kernel's packages hold no boot image")


def _recipe(table: Table) -> str:
    return cache.digest(*table.boot_modules, "", *table.module_folders)
