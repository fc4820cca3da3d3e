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
ELF_KERNEL, BOOT_IMAGE = "vmlinux", "bzImage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootable:
    """A kernel that is set up."""

    folder: Path
    release: str
    version: str

    @property
    def image(self) -> Path:
        """The ELF kernel; the boot image of one that QEMU can start in no other way."""
        whole = self.folder / BOOT_IMAGE
        return whole if whole.is_file() else self.folder / ELF_KERNEL

    @property
    def modules(self) -> Path:
        """The image to mount on /lib/modules."""
        return self.folder / "modules.ext4"

    def boot_modules(self) -> list[tuple[str, bytes]]:
        """Return the (name, data) of the modules for the initramfs, in loading order."""
        return [(path.name, path.read_bytes()) for path in sorted((self.folder / "boot").iterdir())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a kernel is made bootable of.

    Attributes
    ----------
    image : bytes
        The ELF kernel, or a boot image.
    release : str
        As ``uname -r`` says it.
    tree : Path
        A folder like ``lib/modules/RELEASE``.
    unstripped : bool
        Whether the modules may have debug information in them.
    """

    image: bytes
    release: str
    tree: Path
    unstripped: bool = False


def load(root: Path, kernel: Kernel, table: Table) -> Bootable | None:
    """Return the kernel as last set up, None when it is not (or for an older recipe)."""
    return at(root / "kernels" / kernel.name, table)


def at(folder: Path, table: Table) -> Bootable | None:
    """Return the kernel that a folder of the cache holds, None as :func:`load`."""
    facts = folder / "facts.json"
    if not facts.is_file():
        return None
    read = json.loads(facts.read_text(encoding="utf-8"))
    if read["recipe"] != recipe(table):
        return None
    return Bootable(folder=folder.resolve(), release=read["release"], version=read["version"])


def set_up(root: Path, kernel: Kernel, table: Table, archive: Archive) -> Bootable:
    """Make the newest version of `kernel` bootable; the caller holds the cache's lock."""
    package = archive.pick(kernel)
    name = f"{package.name}_{package.version}_{recipe(table)}"
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


def put_together(work: Path, parts: Parts, table: Table) -> list[Path]:
    """Make ``work/new`` of a kernel's parts; return the modules that a guest boots with."""
    new, stage = work / "new", work / "stage"
    boot = new / "boot"
    boot.mkdir(parents=True)
    name = ELF_KERNEL if parts.image.startswith(bzimage.ELF) else BOOT_IMAGE
    (new / name).write_bytes(parts.image)
    modules.select(parts.tree, stage / "lib" / "modules" / parts.release, table.module_folders)
    if parts.unstripped:
        modules.strip(stage)
    modules.index(stage, parts.release)
    order = modules.boot_order(stage, parts.release, table.boot_modules)
    for number, module in enumerate(order):
        (boot / f"{number:02d}-{modules.file_name(module)}").write_bytes(modules.plain(module))
    image.build(stage / "lib" / "modules", new / "modules.ext4")
    return order


def note(new: Path, release: str, version: str, table: Table) -> None:
    """Write what a folder of the cache holds; it is complete then."""
    facts = {"release": release, "version": version, "recipe": recipe(table)}
    (new / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _make(work: Path, package: Package, table: Table, archive: Archive) -> None:
    unpacked = _unpack(work, package, archive)
    release, tree = _modules_of(unpacked)
    elf = bzimage.vmlinux(_boot_image(unpacked, tree).read_bytes())
    if not put_together(work, Parts(image=elf, release=release, tree=tree), table):
        raise LabError(f"{release}: none of the modules the guest boots with was found")
    note(work / "new", release, package.version, table)


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


def recipe(table: Table) -> str:
    """Return a name for the modules that the table takes."""
    return cache.digest(*table.boot_modules, "", *table.module_folders)
