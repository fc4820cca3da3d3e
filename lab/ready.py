"""Everything a run needs, set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import cache, compiler, emulator, kernel, project, userland
from lab.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.table import Kernel, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The files of one kernel and of the guest around it."""

    name: str
    params: str
    emulator: emulator.Emulator
    kernel: kernel.Bootable
    userland: Path
    busybox: Path
    venv: Path | None
    programs: Path


def set_up(
    root: Path,
    table: Table,
    kernels: Iterable[Kernel],
    *,
    refresh: bool = False,
    extra: str | None = None,
) -> list[Ready]:
    """Bring `kernels` to the newest version the mirror serves."""
    packages = table.userland(extra)
    archive = Archive(root, table)
    with cache.lock(root):
        archive.update(force=refresh)
        image, tool = userland.set_up(root, packages, archive), userland.busybox(root, archive)
        machine = emulator.set_up(root, archive)
        booted = [(row, kernel.set_up(root, row, table, archive)) for row in kernels]
    venv = project.environment(root)
    return [_ready(root, row, machine, boot, image, tool, venv) for row, boot in booted]


def for_run(root: Path, table: Table, row: Kernel, extra: str | None = None) -> Ready:
    """Return what was set up, asking the network only for what was not."""
    boot, image = kernel.load(root, row, table), userland.find(root, table.userland(extra))
    tool, machine = root / "busybox", emulator.find(root)
    if machine is None or boot is None or image is None or not tool.is_file():
        return set_up(root, table, [row], extra=extra)[0]
    return _ready(root, row, machine, boot, image, tool, project.environment(root))


def in_use(root: Path, table: Table) -> set[Path]:
    """Return the cache's kernels and images that a run would use now."""
    booted = [kernel.load(root, row, table) for row in table.kernels.values()]
    userlands = [userland.find(root, table.userland(extra)) for extra in (None, *table.extras)]
    images = (*userlands, project.environment_image(root))
    return {boot.folder for boot in booted if boot} | {image for image in images if image}


def _ready(
    root: Path,
    row: Kernel,
    machine: emulator.Emulator,
    boot: kernel.Bootable,
    image: Path,
    tool: Path,
    venv: Path | None,
) -> Ready:
    return Ready(
        name=row.name,
        params=row.params,
        emulator=machine,
        kernel=boot,
        userland=image,
        busybox=tool,
        venv=venv,
        programs=compiler.folder(root),
    )
