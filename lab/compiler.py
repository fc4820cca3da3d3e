"""Compiles the BPF programs of a guest on the host.

Compiling takes minutes under emulation and seconds here. The guest sends what umtrace asks its
compiler (lab/guest/bcc_child.py); the answer is that of umtrace's compiler on the host. Both have
the same bcc, as the guest's userland is made of the host's release, and the programs use no header
but the project's. Where the host cannot compile, the guest does.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from lab import cache, project

#: the name of the port, and of its socket in the folder of a run
PORT = "lab.compiler"
SOCKET = "compiler"
#: answers that are stored: a tier with a probe set takes one for each kernel, of 50 to 200 KB
MOST = 128
#: umtrace's compiler, in the project
MODULE = Path("umtrace/sources/bpf/bcc_child.py")
#: what it is called in the guest (lab/guest/bcc_child.py)
OWN = "own_compiler"
_HEADERS = project.ROOT / "bpf"
_SECONDS = 300


def folder(root: Path) -> Path:
    """Return the folder of stored answers, which may not be there."""
    return root / "programs"


class Server:
    """Answers the requests of one guest, from when its emulator runs until it ends.

    Parameters
    ----------
    listening : Path
        The socket that the emulator makes.
    stored : Path
        The folder of stored answers.
    """

    def __init__(self, listening: Path, stored: Path) -> None:
        self._listening, self._stored = listening, stored
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _serve(self) -> None:
        with socket.socket(socket.AF_UNIX) as port:
            while not self._ended.is_set():
                with suppress(OSError):
                    port.connect(str(self._listening))
                    break
                time.sleep(0.1)
            with suppress(OSError), port.makefile("rw", encoding="utf-8") as lines:
                self._answer_all(lines)

    def _answer_all(self, lines: IO[str]) -> None:
        for line in lines:
            asked = json.loads(line)
            found = answer(asked["request"], self._stored)
            print(json.dumps({"id": asked["id"], "answer": found}), file=lines, flush=True)


def answer(request: str, stored: Path) -> dict[str, Any] | None:
    """Return the compiler's answer to a request; None if it gave none here."""
    place = stored / f"{_key(request)}.json"
    with suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads(place.read_bytes())
        if all(_state(path) == state for path, state in found["made_by"].items()):
            os.utime(place)
            return found
    new = _compiled(request)
    if new is not None:
        _store(place, new)
    return new


def _key(request: str) -> str:
    seen = hashlib.sha256(request.encode())
    for path in sorted(_HEADERS.rglob("*.h")):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:32]


def _compiled(request: str) -> dict[str, Any] | None:
    """Compile as umtrace does: with its own headers, in their folder, with no other variable."""
    environment = {"BCC_KERNEL_SOURCE": str(_HEADERS / "headers"), "PYTHONPATH": str(project.ROOT)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", ".".join(MODULE.with_suffix("").parts)],
            input=request + "\n",
            capture_output=True,
            text=True,
            check=True,
            cwd=_HEADERS,
            env=environment,
            timeout=_SECONDS,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return None if "failed" in found else found


def _store(place: Path, found: dict[str, Any]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with cache.workspace(place.parent.parent) as work:
        (work / "answer").write_text(json.dumps(found))
        (work / "answer").replace(place)
    older = sorted(place.parent.glob("*.json"), key=_used, reverse=True)[MOST:]
    for path in older:
        path.unlink(missing_ok=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another run dropped it
        return 0.0


def _state(path: str) -> list[int] | None:
    """Return what distinguishes a file from a newer one, as umtrace's own cache does."""
    with suppress(OSError):
        found = Path(path).stat()
        return [found.st_ino, found.st_size, found.st_mtime_ns]
    return None
