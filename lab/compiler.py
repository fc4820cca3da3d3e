"""Compiles the BPF programs of a guest on the host.

Compiling takes minutes under emulation and seconds here. The guest sends what umtrace asks its
compiler (lab/guest/bcc_child.py); the answer is that of umtrace's compiler on the host. Both have
the same bcc, as the guest's userland is made of the host's release, and the programs use no header
but the project's. Where the host cannot compile, the guest does.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

from umtrace.model.errors import NoTierError
from umtrace.sources.bpf.compiler import Compiler
from umtrace.sources.bpf.program_cache import ProgramCache

#: the name of the port, and of its socket in the folder of a run
PORT = "lab.compiler"
SOCKET = "compiler"
#: umtrace's compiler, in the project
MODULE = Path("umtrace/sources/bpf/bcc_child.py")
#: what it is called in the guest (lab/guest/bcc_child.py)
OWN = "own_compiler"


def folder(root: Path) -> Path:
    """Return the folder of the answers, a cache as umtrace's own; it may not be there."""
    return root / "compiled"


class Server:
    """Answers the requests of one guest, from when its emulator runs until it ends.

    Parameters
    ----------
    listening : Path
        The socket that the emulator makes.
    stored : Path
        The folder of the cache for its answers.
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
            try:
                asked = json.loads(line)
            except ValueError:  # the guest killed its compiler before it had written all
                continue
            found = answer(asked["request"], self._stored)
            print(json.dumps({"id": asked["id"], "answer": found}), file=lines, flush=True)


def answer(request: str, stored: Path) -> dict[str, Any] | None:
    """Return the compiler's answer to a request; None if it gave none here."""
    with closing(Compiler(ProgramCache(stored))) as compiler:
        try:
            return compiler.answer(request)
        except NoTierError:
            return None
