"""The programs of the host that the lab calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from lab.errors import LabError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# program -> Debian package
TOOLS = {
    "apt-get": "apt",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "lz4": "lz4",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "strip": "binutils",
    "tar": "tar",
    "zstd": "zstd",
}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def find(program: str) -> str:
    """Return the path of `program`, also from the sbin folders a user's PATH may lack."""
    path = os.environ.get("PATH", os.defpath) + ":" + SBIN
    found = shutil.which(program, path=path)
    if found is None:
        package = TOOLS.get(program, program)
        raise MissingToolError(
            f"{program} is not installed: apt-get install {package} (or: python -m lab apt-deps)"
        )
    return found


def missing_packages() -> list[str]:
    """Return the Debian packages of the programs that are not installed."""
    path = os.environ.get("PATH", os.defpath) + ":" + SBIN
    absent = {package for tool, package in TOOLS.items() if shutil.which(tool, path=path) is None}
    return sorted(absent)


def not_installed(packages: Sequence[str]) -> list[str]:
    """Return which of these Debian packages are not installed."""
    return [name for name in packages if not _installed(name)]


def _installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def run(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run a program of the host and return its output.

    Raises
    ------
    LabError
        With the program's last lines when it fails.
    """
    argv = [find(str(command[0])), *map(str, command[1:])]
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise LabError(f"{command[0]} failed with status {done.returncode}:\n  {tail}")
    return done.stdout


def say(message: str) -> None:
    """Tell the person at the terminal what is going on, on stderr."""
    print(f"lab: {message}", file=sys.stderr, flush=True)
