"""The probes' compiler as a child process, and what it gives back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from umtrace.kernel.bpf import MapInfo
from umtrace.records.errors import NoTierError
from umtrace.sources import bcc_child
from umtrace.sources.bpf_files import bpf_directory, headers_directory, program_text
from umtrace.sources.stderr import SHOW, last_line

#: a folder for what was compiled: the lab starts some twenty recorders per boot, under emulation.
#: Its files are loaded into the kernel, so it must be root's own.
KEEP = "UMTRACE_KEEP_COMPILED"
# The child finds the same modules as this process, wherever they came from.
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from umtrace.sources.bcc_child import main; main()"
)
_REMEDIES = {
    bcc_child.NO_BCC: "bcc cannot be imported ({}): install the distribution's python3-bpfcc and "
    "use a virtual environment made with --system-site-packages",
    bcc_child.OTHER_BCC: "the installed 'bcc' is an unrelated project from PyPI: pip uninstall "
    "bcc, then install the distribution's python3-bpfcc",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """Programs as bcc made them; ``maps`` has the descriptor that their code names."""

    maps: Mapping[str, tuple[int, MapInfo]]
    programs: Mapping[str, bytes]


class Compiler:
    """Imports bcc in a child and compiles there.

    Both take a while: what the caller does between ``start`` and ``compile`` is free.
    """

    # A self test opens every tier several times. The descriptors in it are but names by now.
    _compiled: ClassVar[dict[str, Compiled]] = {}

    def __init__(self) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        """Start the child unless it runs; ``compile`` does it when it needs one."""
        if self._child is None:
            self._child = self._started()
        return self._child

    def _started(self) -> subprocess.Popen[str]:
        environment = {"BCC_KERNEL_SOURCE": str(headers_directory()), **os.environ}
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, json.dumps([p or "." for p in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get(SHOW) else self._stderr,
            env=environment,
            text=True,
        )

    def compile(self, constants: Mapping[str, int | str], *, functions: bool) -> Compiled:
        """Compile the probe programs with ``-D`` constants.

        Raises
        ------
        NoTierError
            bcc is missing, or cannot compile them; says what to do.
        """
        defines = [f"-D{name}={value}" for name, value in constants.items()]
        flags = [f"-I{bpf_directory()}", "-w", *defines]
        request = json.dumps({"text": program_text(functions=functions), "flags": flags})
        if request not in self._compiled:
            self._compiled[request] = self._answered(request)
        return self._compiled[request]

    def _answered(self, request: str) -> Compiled:
        kept = _kept(request)
        answer = json.loads(kept.read_text()) if kept and kept.exists() else self._ask(request)
        if "failed" in answer:
            kind, why = answer["failed"]
            raise NoTierError(_REMEDIES[kind].format(why) if kind in _REMEDIES else self._why(why))
        if kept and not kept.exists():
            _keep(kept, json.dumps(answer))
        return Compiled(
            {n: (m["fd"], MapInfo(*m["info"])) for n, m in answer["maps"].items()},
            {n: base64.b64decode(code) for n, code in answer["programs"].items()},
        )

    def _ask(self, request: str) -> dict[str, Any]:
        line, child = "", self.start()
        if child.stdin and child.stdout:
            with suppress(BrokenPipeError):
                print(request, file=child.stdin, flush=True)
                line = child.stdout.readline()
        if not line:
            raise NoTierError(self._why(f"the compiler ended with {child.wait()}"))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _why(self, error: str) -> str:
        self._stderr.seek(0)
        said = last_line(self._stderr.read().decode(errors="replace"))
        return f"bcc cannot compile the probes: {said or error} ({SHOW}=1 shows all)"

    def close(self) -> None:
        """End the child if there is one; may be called twice."""
        if self._child:
            self._child.kill()
            with suppress(BrokenPipeError):
                self._child.communicate()
        self._stderr.close()


def _kept(request: str) -> Path | None:
    """Return where the answer to a request is kept, None if nothing is: see KEEP."""
    folder = os.environ.get(KEEP)
    return Path(folder, f"{hashlib.sha256(request.encode()).hexdigest()}.json") if folder else None


def _keep(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as new:  # mode 0600
        new.write(text)
    Path(new.name).rename(path)
