"""Lazy umounts of mounts in use, and who then wants their device."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.scenarios.holding import busy_for, open_file
from tests.scenarios.place import EBUSY, Place
from umtrace.exercise import syscalls
from umtrace.exercise.loopback import loop_device, make_image, mount_device

_TAIL_S: Final = 0.2


def detached(place: Place, name: str) -> None:
    """Give up on a mount that is in use."""
    path = place.mount(name)
    with place.helper(lambda: open_file(path)):
        busy_for(place, path)
        place.umount(path, syscalls.MNT_DETACH)


def detached_late(place: Place, name: str) -> None:
    """Do not even try; the file stays open for a while."""
    path = place.mount(name)
    with place.helper(lambda: open_file(path)):
        place.umount(path, syscalls.MNT_DETACH)
        time.sleep(_TAIL_S)


def detached_idle(place: Place, name: str) -> None:
    """Nobody is in there."""
    place.umount(place.mount(name), syscalls.MNT_DETACH)


@contextmanager
def _device_in_use(place: Place, name: str) -> Iterator[Path]:
    """Unmount an ext4 on a loop device lazily while a file on it is open; give the device."""
    image, path = place.root / f"{name}.image", place.root / name
    make_image(image, "ext4", 8)
    path.mkdir()
    with loop_device(image) as device:
        mount_device(device, str(path), "ext4")
        (path / "x").write_text("x")
        with place.helper(lambda: open_file(path)):
            place.umount(path, syscalls.MNT_DETACH)
            yield device
            time.sleep(_TAIL_S)


def claimed(place: Place, name: str) -> None:
    """Do what failed when a kernel deferred umounts: claim the device of a lazy umount."""
    with _device_in_use(place, name) as device:
        _in_vain(device, lambda: os.close(os.open(device, os.O_RDWR | os.O_EXCL)))


def mounted_again(place: Place, name: str) -> None:
    """Mount the device again, read-only while its superblock is still there for writing."""
    with _device_in_use(place, name) as device:
        target = str(place.root / name)
        _in_vain(device, lambda: syscalls.mount(str(device), target, "ext4", syscalls.MS_RDONLY))


def _in_vain(device: Path, call: Callable[[], object]) -> None:
    try:
        call()
    except OSError as error:
        if error.errno == EBUSY:
            return
        raise
    raise AssertionError(f"{device}: not busy")
