"""The guest's Debian userland, and the static busybox of its initramfs."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab import cache, host, image, mirror
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.archive import Archive

# Tree, packages and image at the worst moment; what stays is about 520 MiB, 1,100 with engines.
NEED_MIB = 3500
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  - the mount point itself
UNWANTED = ("doc", "info", "locale", "man")
PASSED_ON = "Acquire::"


def find(root: Path, packages: tuple[str, ...]) -> Path | None:
    """Return the image of these packages, None when it is not set up."""
    path = root / f"userland-{_recipe(packages)}.ext4"
    return path if path.is_file() else None


def set_up(root: Path, packages: tuple[str, ...], archive: Archive) -> Path:
    """Make the image unless it is there; the caller holds the cache's lock."""
    if ready := find(root, packages):
        return ready
    if os.geteuid():
        raise LabError("making the guest's userland needs root; running it afterwards does not")
    cache.need(root, NEED_MIB, "making the guest's userland")
    host.say(f"making the guest's userland ({mirror.codename()}, about a minute)")
    with cache.workspace(root) as work, tempfile.TemporaryDirectory(dir=_fast(work)) as fast:
        tree = Path(fast) / "root"
        _debootstrap(tree, work, packages, archive)
        image.build(tree, work / "image")
        (work / "image").rename(root / f"userland-{_recipe(packages)}.ext4")
    return root / f"userland-{_recipe(packages)}.ext4"


def busybox(root: Path, archive: Archive) -> Path:
    """Return a static busybox, fetched when it is not there; the caller holds the lock."""
    path = root / "busybox"
    if not path.is_file():
        with cache.workspace(root) as work:
            archive.download("busybox-static", None, work)
            host.run(["dpkg-deb", "-x", next(work.glob("*.deb")), work / "x"])
            found = next(file for file in (work / "x").rglob("busybox") if os.access(file, os.X_OK))
            found.rename(path)
    return path


def _debootstrap(tree: Path, work: Path, packages: tuple[str, ...], archive: Archive) -> None:
    options = work / "apt.conf"
    options.write_text(_acquire_options(), encoding="utf-8")
    command: list[str | Path] = [
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}",
        f"--aptopt={options}", "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNWANTED),
        # A proxy of this host, perhaps with a password, has no business in the image.
        '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
        mirror.codename(), tree,
    ]  # fmt: skip
    host.run([*command, *archive.sources(mirror.codename())])
    shutil.rmtree(tree / "var" / "cache" / "apt", ignore_errors=True)
    shutil.rmtree(tree / "var" / "lib" / "apt" / "lists", ignore_errors=True)


def _acquire_options() -> str:
    lines = host.run(["apt-config", "dump"]).splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith(PASSED_ON))


def _fast(fallback: Path) -> Path:
    """Return a folder in memory when there is room for devices and programs in it."""
    if not SHARED_MEMORY.is_dir():
        return fallback
    flags = os.statvfs(SHARED_MEMORY).f_flag
    usable = not flags & (os.ST_NODEV | os.ST_NOEXEC | os.ST_NOSUID)
    roomy = shutil.disk_usage(SHARED_MEMORY).free > NEED_MIB * cache.MIB
    return SHARED_MEMORY if usable and roomy and _free_memory_mib() > NEED_MIB else fallback


def _free_memory_mib() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def _recipe(packages: tuple[str, ...]) -> str:
    return cache.digest(mirror.codename(), *packages)
