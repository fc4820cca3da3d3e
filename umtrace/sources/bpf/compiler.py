"""The probes' compiler as a child process, and what it gives back."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from umtrace.model.errors import NoTierError
from umtrace.search_path import python_child
from umtrace.sources.bpf import bcc_child
from umtrace.sources.bpf.bpf_syscall import MapInfo
from umtrace.sources.bpf.kernel_tables import Tables, load_cached
from umtrace.sources.bpf.program_cache import TABLES, ProgramCache, environment_key, key_of
from umtrace.sources.bpf.text import bpf_directory, headers_directory, program_text

#: environment variable that lets all of clang's and the verifier's output through
SHOW = "UMTRACE_DEBUG"
COMPILED, KEPT = "compiled now", "kept"
_PIPE_BYTES = 1 << 18  # a request fits before the child reads
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: where this process's own libraries are; no other variable leads the compiler anywhere
_INHERITED = ("LD_LIBRARY_PATH",)
# bcc and clang look into the working directory, the host's folders and what CPATH and others name.
_OWN_HEADERS_ONLY = "-nostdinc"
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
    """Imports bcc in a child and compiles there, unless the answer is known or kept.

    Both take a while: what the caller does between ``start`` and ``compile`` is free.

    Parameters
    ----------
    kept : ProgramCache, optional
        Where answers are kept for other processes; the user's folder by default.
    """

    # A self test opens every tier several times. The descriptors in it are but names by now.
    _compiled: ClassVar[dict[str, Compiled]] = {}

    def __init__(self, kept: ProgramCache | None = None) -> None:
        self._around = environment_key()
        self._kept = kept or ProgramCache.of_this_user()
        self._stderr = os.fdopen(os.memfd_create("stderr"), "w+b")  # in no folder of others
        self._child: subprocess.Popen[str] | None = None
        self.how = KEPT  #: where the last answer came from

    @property
    def remark(self) -> str:
        """Why what is kept could not be used, or could not be kept; else empty."""
        return self._kept.remark

    def tables(self) -> Tables:
        """Return what the kernel's tables say, kept beside the programs that are made from it."""
        # What is wrong with the folder is remarked on when it is asked for the programs.
        return load_cached(self._around, ProgramCache(self._kept.folder, TABLES))

    def expect(self) -> None:
        """Start the child where it will be needed: nothing is kept of this kernel."""
        if not self._compiled and not self._kept.has(self._around):
            self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start the child unless it runs; ``compile`` does it when it needs one."""
        if self._child is None:
            self._child = self._started()
        return self._child

    def _command(self) -> list[str]:
        return python_child("umtrace.sources.bpf.bcc_child")

    def _started(self) -> subprocess.Popen[str]:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment["BCC_KERNEL_SOURCE"] = str(headers_directory())
        # A terminal and a service manager stop all processes there are: what becomes of this
        # one is for the recorder to say.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            return subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get(SHOW) else self._stderr,
                env=environment,
                cwd=bpf_directory(),  # bcc makes it an include path: whoever writes there is root
                text=True,
                pipesize=_PIPE_BYTES,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def compile(
        self,
        constants: Mapping[str, int | str],
        *,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Compiled:
        """Compile the probe programs with ``-D`` constants: those that bpf/config.h lists.

        ``meanwhile`` is called while the child works, if it has to.

        Raises
        ------
        NoTierError
            bcc is missing, or cannot compile them; says what to do.
        """
        defines = [f"-D{name}={value}" for name, value in constants.items()]
        flags = [_OWN_HEADERS_ONLY, f"-I{bpf_directory()}", "-w", *defines]
        request = json.dumps({"text": program_text(), "flags": flags})
        if request not in self._compiled:
            self._compiled[request] = _decoded(self._answer(request, meanwhile))
        return self._compiled[request]

    def _answer(self, request: str, meanwhile: Callable[[], object]) -> dict[str, Any]:
        key = key_of(self._around, request)
        answer = self._kept.get(key)
        if answer is None:
            answer = self._ask(request, meanwhile)
            self.how = COMPILED
            self._kept.put(key, answer)
        return answer

    def _ask(self, request: str, meanwhile: Callable[[], object]) -> dict[str, Any]:
        line, child = "", self.start()
        if child.stdin and child.stdout:
            with suppress(BrokenPipeError):
                print(request, file=child.stdin, flush=True)
                meanwhile()
                line = child.stdout.readline()
        if not line.endswith("\n"):  # it was killed, maybe in the middle
            raise NoTierError(self._why(_ending(child.wait())))
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            kind, why = answer["failed"]
            raise NoTierError(_REMEDIES[kind].format(why) if kind in _REMEDIES else self._why(why))
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


def last_line(text: str) -> str:
    """Return what is shown of clang's or the verifier's output: one line of hundreds.

    That is the last that says something, the verifier's statistics aside.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("processed ", "HINT"))]
    return telling[-1] if telling else ""


def _ending(status: int) -> str:
    return f"the compiler ended with {status if status >= 0 else signal.Signals(-status).name}"


def _decoded(answer: Mapping[str, Any]) -> Compiled:
    return Compiled(
        {n: (m["fd"], MapInfo(*m["info"])) for n, m in answer["maps"].items()},
        {n: base64.b64decode(code) for n, code in answer["programs"].items()},
    )
