"""Ask a guest that does not end what its processors and tasks are doing.

The guest is asked over its own serial line, as a person would: a break and a key are the
kernel's magic SysRq. The kernel answers on its console, which is kept.
"""

from __future__ import annotations

import json
import select
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Names of the sockets, beside the guest's other files.
CONTROL, LINE = "control", "line"
#: Say all of it; then every task, what waits for a disk or a lock, and what runs on each CPU.
KEYS = b"8twl"
QUIET_SECONDS = 3.0
#: Hundreds of tasks take a while on an emulated serial line.
LONGEST_SECONDS = 60.0


def ask(folder: Path) -> None:
    """Have the guest write to its console what it does, if it still listens."""
    with (
        suppress(OSError),
        _connected(folder / CONTROL) as control,
        _connected(folder / LINE) as line,
    ):
        _command(control, "qmp_capabilities")
        for key in KEYS:
            _command(control, "chardev-send-break", id="line")
            # The two come in one interrupt otherwise, and the kernel misses every other one.
            _read(line, 0.5)
            line.sendall(bytes([key]))
            _read(line, QUIET_SECONDS)


def _connected(path: Path) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX)
    channel.settimeout(5.0)
    channel.connect(str(path))
    return channel


def _command(control: socket.socket, name: str, **arguments: str) -> None:
    message = {"execute": name, **({"arguments": arguments} if arguments else {})}
    control.sendall(json.dumps(message).encode() + b"\n")


def _read(line: socket.socket, quiet: float) -> None:
    """Read until nothing came for a while; the emulator stops where nobody reads."""
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end and select.select([line], [], [], quiet)[0]:
        if not line.recv(1 << 16):
            return
