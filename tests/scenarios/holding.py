"""Ways to keep a mount busy."""

from __future__ import annotations

import mmap
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.scenarios.place import EBUSY, Place
from umtrace.exercise import syscalls
from umtrace.exercise.loopback import loop_device

#: longer than it takes until a tracer has seen the EBUSY and looked who is there
LOOK_S: Final = 0.6
_CLONE_FS: Final = 0x200

#: what a scenario does in a place, under a name
Body = Callable[[Place, str], None]


def busy_for(place: Place, path: Path, seconds: float = LOOK_S) -> None:
    """Find it busy, and leave it so for a while."""
    if place.umount(path) != EBUSY:
        raise AssertionError(f"{path}: not busy")
    time.sleep(seconds)


def held(begin: Callable[[Path], object]) -> Body:
    """Return a scenario in which a child holds the mount in some way."""

    def body(place: Place, name: str) -> None:
        path = place.mount(name)
        with place.helper(lambda: begin(path)):
            busy_for(place, path)
        place.umount_retrying(path, 0.01)

    return body


def open_file(path: Path) -> object:
    """Keep a file open."""
    return (path / "x").open()


def map_file(path: Path) -> object:
    """Keep a file mapped, and not open."""
    with (path / "x").open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def run_program(path: Path) -> object:
    """Run a program that is on the mount."""
    program = str(path / "sleep")
    shutil.copy("/bin/sleep", program)
    return subprocess.Popen([program, "0.8"])  # returns when the program runs


def wander(path: Path) -> object:
    """Have a thread with a working directory of its own."""
    inside = threading.Event()

    def roam() -> None:
        syscalls.unshare(_CLONE_FS)
        os.chdir(path)
        inside.set()
        time.sleep(LOOK_S + 0.1)

    threading.Thread(target=roam, daemon=True).start()
    return inside.wait()


def send_file(path: Path) -> object:
    """Keep a file in flight in a socket."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with (path / "x").open() as file:
        socket.send_fds(here, [b"x"], [file.fileno()])
    return here, there


def bind_socket(path: Path) -> object:
    """Bind a socket to a path in there, and remove its file: the socket keeps the mount."""
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path / "socket"))
    (path / "socket").unlink()
    return bound


def back_loop(place: Place, name: str) -> None:
    """Keep a loop device on a file in there."""
    path = place.mount(name)
    image = path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    with loop_device(image):
        busy_for(place, path)
    place.umount_retrying(path, 0.01)


def held_for(seconds: float) -> Body:
    """Return a scenario in which the umounter itself has a file open for so long."""

    def body(place: Place, name: str) -> None:
        path = place.mount(name)
        with open_file(path):  # type: ignore[attr-defined]
            busy_for(place, path, seconds)
        time.sleep(seconds)
        place.umount_retrying(path, 0.01)

    return body
