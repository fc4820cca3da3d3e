"""What lies where in the folder of a kernel of one's own.

A build tree (of ``make bzImage modules``, with or without ``O=``), or what ``make install
modules_install`` and a package put below a folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import bzimage
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BZIMAGE = "arch/x86/boot/bzImage"
RELEASE = "include/config/kernel.release"
OBJECT = re.compile(r"\.k?o(\.(xz|gz|zst))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A kernel that was built on this machine.

    Attributes
    ----------
    folder : Path
        What the person named.
    release : str
        As ``uname -r`` says it.
    image : Path
        A boot image or an ELF kernel.
    modules : dict of str to Path
        Where each module is to lie below ``lib/modules/RELEASE``, and the file.
    listings : dict of str to list of str
        The lines of ``modules.order`` and ``modules.builtin``, as ``depmod`` reads them.
    config : dict of str to str or None
        The options that are set, without ``CONFIG_``; None where there is no such file.
    built_here : bool
        Whether this is a build tree, whose modules may have debug information in them.
    """

    folder: Path
    release: str
    image: Path
    modules: dict[str, Path]
    listings: dict[str, list[str]]
    config: dict[str, str] | None
    built_here: bool

    @property
    def module_names(self) -> set[str]:
        """The names of the modules that are files."""
        return {module_name(place) for place in self.modules}

    @property
    def builtin_names(self) -> set[str]:
        """The names of those that are part of the kernel."""
        return {module_name(line) for line in self.listings.get("modules.builtin", ())}

    def lay_out(self, target: Path) -> None:
        """Make a folder like ``lib/modules/RELEASE``, of links to the modules."""
        target.mkdir(parents=True)
        for name, lines in self.listings.items():
            (target / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for place, file in self.modules.items():
            link = target / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)


def module_name(place: str) -> str:
    """Return the name ``modprobe`` knows a module by."""
    return OBJECT.sub("", place.rpartition("/")[2]).replace("-", "_")


def read(folder: Path) -> Tree:
    """Return what `folder` holds.

    Raises
    ------
    LabError
        Where that is no kernel for x86, or more than one.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise LabError(f"{folder} {what}: name the folder of a kernel's build tree")
    folder = folder.resolve()
    if (folder / BZIMAGE).is_file() or (folder / "vmlinux").is_file():
        return _built(folder)
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if not images:
        raise LabError(
            f"{folder} holds no kernel: neither {BZIMAGE} nor vmlinux (run make bzImage modules "
            "there), nor boot/vmlinuz-RELEASE"
        )
    if len(images) > 1:
        names = ", ".join(image.name for image in images)
        raise LabError(f"{folder}/boot holds {names}: keep one, in a folder of its own")
    return _installed(folder, images[0])


def _built(folder: Path) -> Tree:
    image = folder / BZIMAGE
    if not image.is_file():
        image = folder / "vmlinux"
    order = _lines(folder / "modules.order")
    found = dict(_of_order(folder, order) if order is not None else _of_walk(folder))
    builtin = _lines(folder / "modules.builtin") or []
    return Tree(
        folder=folder,
        release=_release(folder, image),
        image=image,
        modules=found,
        listings={
            "modules.order": list(found),
            "modules.builtin": [f"kernel/{line.removeprefix('kernel/')}" for line in builtin],
        },
        # What was built; .config may have changed since.
        config=_config(folder / "include/config/auto.conf") or _config(folder / ".config"),
        built_here=True,
    )


def _release(folder: Path, image: Path) -> str:
    """Return the release of a build tree; it must be that of the image in it."""
    written = _lines(folder / RELEASE)
    if image.name == "vmlinux":
        if not written:
            raise LabError(f"{folder} has no {RELEASE}: run make there")
        return written[0]
    release = bzimage.release(image.read_bytes())
    if written and written[0] != release:
        raise LabError(
            f"{image} is {release}, but {RELEASE} says {written[0]}: run make bzImage modules"
        )
    return release


def _of_order(folder: Path, order: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield place and file of each module that is listed and there.

    A line was ``kernel/fs/ext4/ext4.ko`` at first, then ``fs/ext4/ext4.ko``, now ends in ``.o``.
    """
    for line in order:
        name = OBJECT.sub(".ko", line)
        for inside in (name, name.removeprefix("kernel/")):
            if (folder / inside).is_file():
                yield f"kernel/{inside}", folder / inside
                break


def _of_walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*.ko")):
        yield f"kernel/{file.relative_to(folder)}", file


def _installed(folder: Path, image: Path) -> Tree:
    release = image.name.removeprefix("vmlinuz-")
    # A kernel without modules may have no such folder.
    places = [folder / base / release for base in ("lib/modules", "usr/lib/modules")]
    place = next((place for place in places if place.is_dir()), places[0])
    files = (file for file in sorted((place / "kernel").rglob("*.ko*")) if OBJECT.search(file.name))
    names = ("modules.order", "modules.builtin")
    return Tree(
        folder=folder,
        release=release,
        image=image,
        modules={str(file.relative_to(place)): file for file in files},
        listings={name: _lines(place / name) or [] for name in names},
        config=_config(folder / "boot" / f"config-{release}"),
        built_here=False,
    )


def _lines(file: Path) -> list[str] | None:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else None


def _config(file: Path) -> dict[str, str] | None:
    lines = _lines(file)
    if lines is None:
        return None
    pairs = (line.removeprefix("CONFIG_").partition("=") for line in lines if "=" in line)
    return {name: value for name, _, value in pairs}
