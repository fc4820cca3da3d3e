"""A Debian kernel laid out as the tree it was built in, or as installed below a folder."""

from __future__ import annotations

import shutil
import subprocess

from lab import cache, table, unpack
from lab.archive import Archive


def unpacked(row, target):
    """Unpack the newest packages of a row of the lab's table; an installed kernel."""
    known = table.load()
    archive = Archive(cache.folder(), known)
    with cache.lock(cache.folder()):
        archive.update()
        package = archive.pick(known.kernel(row))
        for name, version in archive.parts(package):
            archive.download(name, version, target)
    for file in target.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", file, target / "installed"], check=True)
        file.unlink()
    return target / "installed"


def as_built(installed, target):
    """Lay the installed kernel out as ``make`` leaves one: modules beside their sources."""
    (image,) = (installed / "boot").glob("vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    tree = installed / "usr/lib/modules" / release
    for place, file in {
        "arch/x86/boot/bzImage": image,
        "include/config/auto.conf": installed / "boot" / f"config-{release}",
        "modules.builtin": tree / "modules.builtin",
    }.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target / place)
    (target / "include/config/kernel.release").write_text(f"{release}\n")
    order = (tree / "modules.order").read_text().split()
    for line in order:
        _module(tree / f"{line}.xz", target / line.removeprefix("kernel/"))
    # As since 6.3.
    lines = (line.removeprefix("kernel/").removesuffix(".ko") + ".o\n" for line in order)
    (target / "modules.order").write_text("".join(lines))
    return target


def _module(packed, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(unpack.plain(packed.read_bytes()))
