"""Runs the compiler of the probes as a child process, and returns its result."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from umtrace.model.errors import NoTierError
from umtrace.search_path import python_child
from umtrace.sources.bpf import bcc_child
from umtrace.sources.bpf.addresses import numbered
from umtrace.sources.bpf.bpf_syscall import MapInfo
from umtrace.sources.bpf.kernel_tables import Tables, load_cached
from umtrace.sources.bpf.program_cache import TABLES, ProgramCache, environment_key, key_of
from umtrace.sources.bpf.text import bpf_directory, headers_directory, program_text

#: environment variable that shows the whole output of clang and of the verifier
SHOW = "UMTRACE_DEBUG"
COMPILED, KEPT = "compiled now", "kept"
_PIPE_BYTES = 1 << 18  # a request fits before the child reads
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: for the libraries of this process; no other variable may give the compiler a path
_INHERITED = ("LD_LIBRARY_PATH",)
# bcc and clang search the working directory, folders of the host, and those in CPATH and others.
_OWN_HEADERS_ONLY = "-nostdinc"
_REMEDIES = {
    bcc_child.NO_BCC: "bcc cannot be imported ({}): install the distribution's python3-bpfcc and "
    "use a virtual environment made with --system-site-packages",
    bcc_child.OTHER_BCC: "the installed 'bcc' is an unrelated project from PyPI: pip uninstall "
    "bcc, then install the distribution's python3-bpfcc",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """Programs as bcc compiled them.

    Attributes
    ----------
    maps : mapping
        With the descriptors that are in their code.
    programs : mapping
    addresses : tuple of int
        Those of this boot that they have numbers for.
    """

    maps: Mapping[str, tuple[int, MapInfo]]
    programs: Mapping[str, bytes]
    addresses: tuple[int, ...] = ()


class Compiler:
    """Imports bcc in a child and compiles there, unless the result is cached.

    Both take a while, in which the caller can do other work, between ``start`` and ``compile``.

    Parameters
    ----------
    kept : ProgramCache, optional
        The cache, for other processes; by default in the user's folder.
    """

    # For this process, since a self test opens every tier several times. Its descriptors are those
    # of the child, and only name the maps.
    _compiled: ClassVar[dict[str, Compiled]] = {}

    def __init__(self, kept: ProgramCache | None = None) -> None:
        self._around = environment_key()
        self._kept = kept or ProgramCache.of_this_user()
        self._stderr = os.fdopen(os.memfd_create("stderr"), "w+b")  # in no folder of others
        self._child: subprocess.Popen[str] | None = None
        self.how = KEPT  #: whether the last result was compiled or cached

    @property
    def remark(self) -> str:
        """Why the cache could not be used, or could not be written; else empty."""
        return self._kept.remark

    def tables(self) -> Tables:
        """Return what the kernel's tables say, which is cached beside the programs."""
        # A problem with the folder becomes the remark when the programs are read from it.
        return load_cached(self._around, ProgramCache(self._kept.folder, TABLES))

    def expect(self) -> None:
        """Start the child if it will be needed, since nothing is cached for this kernel."""
        if not self._compiled and not self._kept.has(self._around):
            self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start the child unless it runs; ``compile`` does so, too."""
        if self._child is None:
            self._child = self._started()
        return self._child

    def _command(self) -> list[str]:
        return python_child("umtrace.sources.bpf.bcc_child")

    def _started(self) -> subprocess.Popen[str]:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment["BCC_KERNEL_SOURCE"] = str(headers_directory())
        # A terminal or a service manager sends such signals to all processes. They are blocked in
        # the child, since the recorder decides when it ends.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            return subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get(SHOW) else self._stderr,
                env=environment,
                cwd=bpf_directory(),  # bcc makes it an include path, so only root may write there
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

        ``meanwhile`` is called while the child works, if there is anything to compile.

        Raises
        ------
        NoTierError
            bcc is missing, or cannot compile them; the message has the remedy.
        """
        without, addresses = numbered(constants)
        # In one order, so that the next start asks for the same.
        defines = [f"-D{name}={value}" for name, value in sorted(without.items())]
        flags = [_OWN_HEADERS_ONLY, f"-I{bpf_directory()}", "-w", *defines]
        request = json.dumps({"text": program_text(), "flags": flags})
        if request not in self._compiled:
            self._compiled[request] = _decoded(self.answer(request, meanwhile))
        return replace(self._compiled[request], addresses=tuple(addresses))

    def answer(
        self, request: str, meanwhile: Callable[[], object] = lambda: None
    ) -> dict[str, Any]:
        """Return the child's answer to a request, which is a line of JSON, or the cached one.

        Raises
        ------
        NoTierError
            As of ``compile``.
        """
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
        if not line.endswith("\n"):  # the child was killed, maybe while it wrote
            raise NoTierError(self._why(_ending(child.wait())))
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            kind, why = answer["failed"]
            raise NoTierError(_REMEDIES[kind].format(why) if kind in _REMEDIES else self._why(why))
        return answer

    def _why(self, error: str) -> str:
        self._stderr.seek(0)
        output = last_line(self._stderr.read().decode(errors="replace"))
        return f"bcc cannot compile the probes: {output or error} ({SHOW}=1 shows all)"

    def close(self) -> None:
        """End the child if there is one; may be called twice."""
        if self._child:
            self._child.kill()
            with suppress(BrokenPipeError):
                self._child.communicate()
        self._stderr.close()


def last_line(text: str) -> str:
    """Return the one line to show of hundreds that clang or the verifier wrote.

    That is the last line that is not empty and not part of the verifier's statistics.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("processed ", "HINT"))]
    return lines[-1] if lines else ""


def _ending(status: int) -> str:
    return f"the compiler ended with {status if status >= 0 else signal.Signals(-status).name}"


def _decoded(answer: Mapping[str, Any]) -> Compiled:
    return Compiled(
        {n: (m["fd"], MapInfo(*m["info"])) for n, m in answer["maps"].items()},
        {n: base64.b64decode(code) for n, code in answer["programs"].items()},
    )
