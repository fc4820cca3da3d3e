"""Everything a run needs, set up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import built, cache, compiler, emulator, kernel, own, project, userland
from lab.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a guest needs besides its kernel."""

    emulator: emulator.Emulator
    userland: Path
    busybox: Path


def set_up(
    root: Path,
    table: Table,
    kernels: Iterable[Kernel],
    *,
    refresh: bool = False,
    extra: str | None = None,
) -> list[Ready]:
    """Bring `kernels` to the newest version the mirror serves."""
    archive = Archive(root, table)
    with cache.lock(root):
        archive.update(force=refresh)
        around = _set_up_around(root, table, archive, extra)
        booted = [(row, kernel.set_up(root, row, table, archive)) for row in kernels]
    venv = project.environment(root)
    return [_ready(root, row.name, row.params, around, boot, venv) for row, boot in booted]


def for_run(root: Path, table: Table, row: Kernel, extra: str | None = None) -> Ready:
    """Return what was set up, asking the network only for what was not."""
    boot, around = kernel.load(root, row, table), _around(root, table, extra)
    if boot is None or around is None:
        return set_up(root, table, [row], extra=extra)[0]
    return _ready(root, row.name, row.params, around, boot, project.environment(root))


def named(root: Path, table: Table, name: str, extra: str | None = None) -> Ready:
    """Return the kernel a person named: of the table, built here, or the folder of one's own."""
    if name in table.built.kernels:
        folder = built.find(root, name)
    elif own.is_path(name):
        folder = Path(name)
    else:
        return for_run(root, table, table.kernel(name), extra)
    boot, around = own.set_up(root, folder, table), _around(root, table, extra)
    if around is None:
        archive = Archive(root, table)
        with cache.lock(root):
            archive.update()
            around = _set_up_around(root, table, archive, extra)
    shown = boot.release if own.is_path(name) else name
    return _ready(root, shown, "", around, boot, project.environment(root))


def in_use(root: Path, table: Table) -> set[Path]:
    """Return the cache's kernels and images that a run would use now."""
    booted = [kernel.load(root, row, table) for row in table.kernels.values()]
    userlands = [userland.find(root, table.userland(extra)) for extra in (None, *table.extras)]
    images = (*userlands, project.environment_image(root))
    kept = {boot.folder for boot in booted if boot} | {image for image in images if image}
    return kept | built.in_use(root)


def _around(root: Path, table: Table, extra: str | None) -> Around | None:
    """Return what was set up, None unless all of it was."""
    machine, image = emulator.find(root), userland.find(root, table.userland(extra))
    tool = root / "busybox"
    if machine is None or image is None or not tool.is_file():
        return None
    return Around(emulator=machine, userland=image, busybox=tool)


def _set_up_around(root: Path, table: Table, archive: Archive, extra: str | None) -> Around:
    """Set up what is missing; the caller holds the cache's lock."""
    return Around(
        userland=userland.set_up(root, table.userland(extra), archive),
        busybox=userland.busybox(root, archive),
        emulator=emulator.set_up(root, archive),
    )


def _ready(
    root: Path, name: str, params: str, around: Around, boot: kernel.Bootable, venv: Path | None
) -> Ready:
    return Ready(
        name=name,
        params=params,
        emulator=around.emulator,
        kernel=boot,
        userland=around.userland,
        busybox=around.busybox,
        venv=venv,
        programs=compiler.folder(root),
    )
