"""Hand the project to a guest: its sources by tar, its virtual environment by image."""

from __future__ import annotations

import configparser
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lab import cache, host, image
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
IGNORED = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
SYSTEM_PYTHON = ("/usr/bin", "/bin")


def sources(root: Path = ROOT) -> list[Path]:
    """Return the project's files relative to `root`: tracked, or new and not ignored."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others"]
    try:
        done = subprocess.run(
            [*command, "--exclude-standard"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return sorted(_walk(root))
    names = {Path(name) for name in done.stdout.split("\0") if name}
    # What was deleted but is still in the index, and nested repositories, are no files.
    return sorted(n for n in names if (root / n).is_symlink() or (root / n).is_file())


def environment(cache_root: Path, root: Path = ROOT) -> Path | None:
    """Return the image of the project's virtual environment, made when it changed.

    None when the project has none; then only the system's python3 is in the guest.
    """
    venv = root / ".venv"
    place = environment_image(cache_root, root)
    if place is None:
        host.say(f"{venv} is not there: the guest has the system's python3 only")
        return None
    _check_python(venv)
    if not place.is_file():
        with cache.lock(cache_root), cache.workspace(cache_root) as work:
            if not place.is_file():
                host.say("packing the virtual environment")
                cache.need(cache_root, 1500, "packing the virtual environment")
                image.build(venv, work / "image")
                (work / "image").rename(place)
                _forget_older(place)
    return place


def environment_image(cache_root: Path, root: Path = ROOT) -> Path | None:
    """Return where the image of the environment as it is now belongs; it may not be there."""
    venv = root / ".venv"
    if not (venv / "pyvenv.cfg").is_file():
        return None
    return cache_root / f"venv-{cache.digest(str(venv))}-{_fingerprint(venv)}.ext4"


def _forget_older(place: Path) -> None:
    """Remove images of the same environment; a guest that runs from one has it open."""
    same, _, _ = place.name.rpartition("-")
    for older in place.parent.glob(f"{same}-*.ext4"):
        if older != place:
            older.unlink()


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in IGNORED]
        for name in files:
            yield (Path(folder) / name).relative_to(root)


def _check_python(venv: Path) -> None:
    """Refuse an environment over a Python that the guest does not have."""
    parser = configparser.ConfigParser()
    parser.read_string("[venv]\n" + (venv / "pyvenv.cfg").read_text(encoding="utf-8"))
    home = parser["venv"].get("home", "")
    if home not in SYSTEM_PYTHON:
        raise LabError(
            f"{venv} is made over {home}/python3, which the guest lacks: make it with "
            "/usr/bin/python3 -m venv --system-site-packages"
        )


def _fingerprint(venv: Path) -> str:
    """Name the environment by what is installed in it."""
    records = sorted(venv.glob("lib/python3*/site-packages/*.dist-info/RECORD"))
    parts = (text for record in records for text in (record.parent.name, record.read_text("utf-8")))
    return cache.digest((venv / "pyvenv.cfg").read_text(encoding="utf-8"), *parts)
