"""The emulator: the host's own, or a newer one out of the release's backports.

QEMU before 10 does not survive what umtrace is for. A kernel that places a probe writes over code
that its other processors run; with a thread for each processor the old emulator may go on with
what it had translated. Guests die of "Oops: int3" or of a jump to address 0, or hang: with nothing
but two kprobe events switched on and off over two tasks that walk paths, on 7.2 after 5 to 37
times on 6.1, 6.1-rt, 6.12-rt and 7, on 10.0.2 never in 190 (`stat` and `open` as fast as they
come). It was reported in July 2023 ("qemu-x86_64 booting with 8.0.0 stil see int3", LKML).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import cache, host, mirror
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.archive import Archive

PROGRAM = "qemu-system-x86_64"
#: The oldest major version that is used by choice.
SOUND = 10
#: Libraries come from the host's own QEMU package, of the same release.
PACKAGES = ("qemu-system-x86", "qemu-system-data", "seabios")
FIRMWARE = ("usr/share/qemu", "usr/share/seabios")
VERSION = re.compile(r"version (\d+)\.")
NEED_MIB = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A program, and where it finds its firmware if not where it was built to."""

    program: str
    firmware: tuple[Path, ...] = ()

    def command(self) -> list[str]:
        """Return the words a command line begins with."""
        return [self.program, *(word for path in self.firmware for word in ("-L", str(path)))]

    def major(self) -> int | None:
        """Return the major version, None if the program cannot be run."""
        try:
            done = subprocess.run(
                [self.program, "--version"], capture_output=True, text=True, check=False
            )
        except OSError:
            return None
        match = VERSION.search(done.stdout)
        return int(match[1]) if match else None


def find(root: Path) -> Emulator | None:
    """Return a sound emulator: the host's, or the one in the cache; None if neither is."""
    for emulator in (_hosts(), _kept(root)):
        if (emulator.major() or 0) >= SOUND:
            return emulator
    return None


def set_up(root: Path, archive: Archive) -> Emulator:
    """Fetch a sound one unless there is one; the caller holds the cache's lock.

    Where none is to be had, the host's is returned, and a line says what that means.
    """
    if emulator := find(root):
        return emulator
    own = _hosts()
    suite = f"{mirror.codename()}-backports"
    try:
        _fetch(root, archive, suite)
    except LabError as error:
        host.say(f"no newer QEMU from {suite}: {error}")
    if emulator := find(root):
        host.say(f"using QEMU {emulator.major()} of {suite}, since the host's is {own.major()}")
        return emulator
    host.say(f"QEMU {own.major()} may crash or hang a guest where probes are placed; {SOUND} not")
    return own


def _hosts() -> Emulator:
    return Emulator(program=host.find(PROGRAM))


def _kept(root: Path) -> Emulator:
    folder = root / "qemu"
    return Emulator(
        program=str(folder / "usr/bin" / PROGRAM),
        firmware=tuple(folder / place for place in FIRMWARE),
    )


def _fetch(root: Path, archive: Archive, suite: str) -> None:
    cache.need(root, NEED_MIB, "unpacking QEMU")
    with cache.workspace(root) as work:
        for name in PACKAGES:
            archive.download(f"{name}/{suite}", None, work)
        for file in work.glob("*.deb"):
            host.run(["dpkg-deb", "-x", file, work / "qemu"])
        # One that no longer runs, as after an upgrade of the host's libraries.
        shutil.rmtree(root / "qemu", ignore_errors=True)
        (work / "qemu").rename(root / "qemu")
