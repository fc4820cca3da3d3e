"""Kernels that are built here: Debian's source of a series, with the designs of the argument.

The cache keeps what a build tree needs to boot, named by what it was made of.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab import cache, host
from lab import tree as trees
from lab.archive import Archive
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.table import Table

FOLDER = Path(__file__).with_name("designs")
PATCH = FOLDER / "namespace.patch"
#: new files of fs/
SOURCES = (FOLDER / "umount_design.c", FOLDER / "umount_design.h")
#: what is kept of a build tree
KEPT = (
    trees.BZIMAGE,
    trees.RELEASE,
    "include/config/auto.conf",
    "modules.builtin",
    "modules.order",
)
NEED_MIB = 4500
VERSION = "version"


def find(root: Path, name: str) -> Path:
    """Return the folder of a kernel as it was last built.

    Raises
    ------
    LabError
        It was not built.
    """
    place = root / "built" / name
    if not (place / trees.BZIMAGE).is_file():
        raise LabError(f"{name} is not built yet: make lab-designs (8 minutes each on two cores)")
    return place.resolve()


def version(root: Path, name: str) -> str | None:
    """Return which version of the source a kernel was built of, None if it was not."""
    file = root / "built" / name / VERSION
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def in_use(root: Path) -> set[Path]:
    """Return the folders of the kernels as they were last built."""
    return {link.resolve() for link in (root / "built").glob("*") if link.is_symlink()}


def build(root: Path, table: Table, name: str) -> Path:
    """Return the folder of a kernel, built unless it was from the same files.

    Raises
    ------
    LabError
        The source cannot be fetched or the build fails; its output is in ``built/NAME.log``.
    """
    home = root / "built"
    home.mkdir(parents=True, exist_ok=True)
    archive = Archive(root, table)
    with cache.lock(home):
        with cache.lock(root):
            archive.update()
            newest = archive.newest(table.built.source, table.built.suites)
        options = "".join(_text(FOLDER / file) for file in table.built.kernels[name])
        key = cache.digest(newest, options, _text(PATCH), *map(_text, SOURCES))
        place = home / "store" / f"{name}-{key}"
        if not (place / trees.BZIMAGE).is_file():
            cache.need(root, NEED_MIB, f"building {name}")
            with cache.workspace(root) as work:
                _fetch(work, archive, table.built.source, newest)
                _make(work, options, home / f"{name}.log")
                _keep(work / "build", work / "kept", newest)
                place.parent.mkdir(parents=True, exist_ok=True)
                (work / "kept").rename(place)
        cache.point(home / name, place)
    return place


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _fetch(work: Path, archive: Archive, package: str, newest: str) -> None:
    host.say(f"fetching {package} {newest}")
    archive.download(package, newest, work)
    (deb,) = work.glob("*.deb")
    host.run(["dpkg-deb", "-x", deb, work / "unpacked"])
    deb.unlink()
    (packed,) = (work / "unpacked").glob("usr/src/*.tar.xz")
    (work / "source").mkdir()
    host.run(["tar", "-xf", packed, "-C", work / "source", "--strip-components=1"])
    packed.unlink()
    for file in SOURCES:
        shutil.copy(file, work / "source" / "fs")
    host.run(["patch", "-p1", "-i", PATCH], cwd=work / "source")


def _make(work: Path, options: str, log: Path) -> None:
    (work / "options").write_text(options, encoding="utf-8")
    (work / "build").mkdir()
    make = [host.find("make"), "-C", str(work / "source"), f"O={work / 'build'}"]
    # The same text whoever builds it, so that kernels of the same files are the same.
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "KBUILD_BUILD_USER": "lab",
        "KBUILD_BUILD_HOST": "lab",
        "KCONFIG_ALLCONFIG": str(work / "options"),
    }
    jobs = len(os.sched_getaffinity(0))
    host.say(f"building with {jobs} jobs; what make says is in {log}")
    started = time.monotonic()
    with log.open("wb") as output:
        for target in (["allnoconfig"], [f"-j{jobs}", "bzImage"]):
            command = [host.find("nice"), *make, *target]
            done = subprocess.run(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
            )
            if done.returncode:
                raise LabError(f"make {target[-1]} failed; its end in {log}:\n  {_end(log)}")
    _check(work / "build" / ".config", options)
    host.say(f"built in {time.monotonic() - started:.0f} s")


def _end(log: Path) -> str:
    return "\n  ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])


def _check(config: Path, options: str) -> None:
    """Refuse a kernel that lacks an option: the series dropped it, or what it depends on."""
    wanted = set(re.findall(r"^CONFIG_\w+=[^n\n].*$", options, re.MULTILINE))
    absent = sorted(wanted - set(_text(config).splitlines()))
    if absent:
        raise LabError(f"the configuration lacks {', '.join(absent)}")


def _keep(tree: Path, target: Path, newest: str) -> None:
    for name in KEPT:
        if (tree / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, target / name)
    (target / VERSION).write_text(f"{newest}\n", encoding="utf-8")
