"""Make a kernel of one's own bootable, from the folder where it was built.

The cache keeps the last state of each folder; what was built again is taken again.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lab import bzimage, cache, host, kernel, needs, pvh
from lab import tree as trees
from lab.errors import LabError, PackingError

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kernel import Bootable
    from lab.table import Table
    from lab.tree import Tree


def is_path(name: str) -> bool:
    """Whether a person named a folder, and no kernel of the table."""
    return "/" in name or name in {".", ".."}


def check(folder: Path, table: Table) -> Tree:
    """Return what `folder` holds.

    Raises
    ------
    LabError
        Where there is no kernel, or one that cannot run the guest.
    """
    tree = trees.read(folder)
    needs.check(tree, table)
    return tree


def set_up(root: Path, folder: Path, table: Table) -> Bootable:
    """Return the kernel in `folder`, made bootable when it has changed; see :func:`check`."""
    tree = check(folder, table)
    store = root / "kernels" / "store"
    same = f"own-{cache.digest(str(tree.folder))}"
    place = store / f"{same}-{_state(tree, table)}"
    with cache.lock(root):
        if not (place / "facts.json").is_file():
            host.say(f"setting up {tree.release} of {tree.folder}")
            cache.need(root, _need_mib(tree), f"setting up {tree.release}")
            with cache.workspace(root) as work:
                _make(work, tree, table)
                store.mkdir(parents=True, exist_ok=True)
                (work / "new").rename(place)
            _forget_older(place, same)
    ready = kernel.at(place, table)
    if ready is None:
        raise LabError(f"the cache in {root} is damaged; run `python -m lab clean`")
    return ready


def _make(work: Path, tree: Tree, table: Table) -> None:
    laid_out = work / "tree"
    tree.lay_out(laid_out)
    parts = kernel.Parts(
        image=_image(tree.image.read_bytes()),
        release=tree.release,
        tree=laid_out,
        unstripped=tree.built_here,
    )
    kernel.put_together(work, parts, table)
    kernel.note(work / "new", tree.release, str(tree.folder), table)


def _image(found: bytes) -> bytes:
    """Return what QEMU can start: the ELF kernel at best, else the boot image as it is."""
    if found.startswith(bzimage.ELF):
        if pvh.starts(found):
            return found
        raise LabError("vmlinux has no entry for QEMU: run make bzImage, or set CONFIG_PVH=y")
    try:
        elf = bzimage.vmlinux(found)
    except PackingError:
        return found
    return elf if pvh.starts(elf) else found


def _state(tree: Tree, table: Table) -> str:
    """Name what the folder holds now, by the sizes and times of its files."""
    files = [tree.image, *tree.modules.values()]
    states = (f"{file}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
    lists = (line for lines in tree.listings.values() for line in lines)
    return cache.digest(tree.release, kernel.recipe(table), *states, *lists)


def _need_mib(tree: Tree) -> int:
    """Return what the work may take: modules are copied before they are stripped."""
    size = sum(file.stat().st_size for file in tree.modules.values())
    return 300 + 2 * size // cache.MIB


def _forget_older(place: Path, same: str) -> None:
    for older in place.parent.glob(f"{same}-*"):
        if older != place:
            shutil.rmtree(older, ignore_errors=True)
