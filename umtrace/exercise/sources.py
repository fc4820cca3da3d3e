"""What is mounted: a fresh tmpfs each time, or the image of a slot."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from umtrace.exercise import syscalls
from umtrace.exercise.config import ExerciseConfig
from umtrace.exercise.loopback import find_mkfs, loop_device, make_image, mount_device


class Source(Protocol):
    """Something that can be mounted, one place at a time."""

    def mount(self, target: str) -> None:
        """Mount it there."""


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A new, empty tmpfs with room for the files."""

    files: int

    def mount(self, target: str) -> None:
        """Mount it there."""
        syscalls.mount(
            "umtrace-exercise", target, "tmpfs", data=f"mode=700,nr_inodes={self.files + 1024}"
        )


@dataclass(frozen=True, slots=True)
class Image:
    """A file system on a loop device; what is in it stays from mount to mount."""

    device: Path
    fstype: str

    def mount(self, target: str) -> None:
        """Mount it there."""
        mount_device(self.device, target, self.fstype)


class Sources:
    """Hands out one source per slot, made on first use.

    `held` closes the loop devices; until then they serve mount after mount.
    """

    def __init__(self, config: ExerciseConfig, directory: Path, held: ExitStack) -> None:
        self.devices: list[Path] = []
        self._config = config
        self._directory = directory
        self._held = held
        self._slots: dict[str, Source] = {}
        if config.fstype != "tmpfs":
            find_mkfs(config.fstype)

    def get(self, slot: str) -> Source:
        """Return the source of this slot."""
        if slot not in self._slots:
            self._slots[slot] = self._make(slot)
        return self._slots[slot]

    def _make(self, slot: str) -> Source:
        config = self._config
        if config.fstype == "tmpfs":
            return Tmpfs(config.files)
        self._directory.mkdir(exist_ok=True)
        image = self._directory / f"{slot}.img"
        make_image(image, config.fstype, config.files)
        device = self._held.enter_context(loop_device(image))
        self.devices.append(device)
        return Image(device, config.fstype)
