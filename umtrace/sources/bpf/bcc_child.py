"""Compiles the probes with bcc; the only module that imports it.

It runs as a process of its own, so that the memory of clang and LLVM is freed when it ends. It
answers every request, a line of JSON on stdin, with a line on stdout: the compiled programs, or the
reason of a failure. The recorder loads them (umtrace/sources/bpf/bpf_object.py).
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import re
import sys
from typing import Any

from umtrace.sources.bpf.bpf_syscall import map_info
from umtrace.sources.bpf.program_cache import file_state

_LIBRARY = re.compile(r"/lib(bcc|bpf|clang|LLVM)[^/]*\.so")
NO_BCC, OTHER_BCC, NOT_COMPILED = "no bcc", "another bcc", "not compiled"


def main() -> None:
    """Serve requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # clang and bcc may write to stdout, too
    try:
        bcc = _import()
    except _FailedError as error:
        bcc, failure = None, error.args
    for line in sys.stdin:
        answer = _compiled(bcc, json.loads(line)) if bcc else {"failed": failure}
        print(json.dumps(answer), file=answers, flush=True)


class _FailedError(Exception):
    """The answer to send instead of compiled programs."""


def _import() -> Any:
    try:
        import bcc
    except ImportError as error:
        raise _FailedError(NO_BCC, str(error)) from error
    if not hasattr(bcc, "BPF"):
        raise _FailedError(OTHER_BCC, "")
    return bcc


def _compiled(bcc: Any, request: dict[str, Any]) -> dict[str, Any]:
    class Quiet(bcc.BPF):  # type: ignore[misc]
        """Attaches nothing by itself: every probe is tried, and may have a substitute."""

        def _trace_autoload(self) -> None:
            pass

    try:
        built = Quiet(text=request["text"].encode(), cflags=request["flags"])
    except Exception as error:
        return {"failed": (NOT_COMPILED, str(error))}
    return {
        "maps": _maps(bcc.lib, built.module),
        "programs": _programs(bcc.lib, built.module),
        "made_by": {path: file_state(path) for path in _compiler_files(bcc)},
    }


def _compiler_files(bcc: Any) -> set[str]:
    """Return the files of the compiler, each of which may compile otherwise in another version."""
    with open("/proc/self/maps") as maps:  # noqa: PTH123 - nothing to join or to ask
        mapped = {line.split()[-1] for line in maps}
    libraries = {path for path in mapped if _LIBRARY.search(path)}
    return {bcc.__file__, *libraries}


def _maps(lib: Any, module: int) -> dict[str, Any]:
    lib.bpf_num_tables.restype = ctypes.c_size_t
    lib.bpf_num_tables.argtypes = [ctypes.c_void_p]
    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_table_fd_id.restype = ctypes.c_int
    for function in (lib.bpf_table_name, lib.bpf_table_fd_id):
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    maps = {}
    for number in range(lib.bpf_num_tables(module)):
        fd = lib.bpf_table_fd_id(module, number)
        maps[lib.bpf_table_name(module, number).decode()] = {"fd": fd, "info": map_info(fd)}
    return maps


def _programs(lib: Any, module: int) -> dict[str, str]:
    programs = {}
    for number in range(lib.bpf_num_functions(module)):
        name = lib.bpf_function_name(module, number)
        start, size = lib.bpf_function_start(module, name), lib.bpf_function_size(module, name)
        programs[name.decode()] = base64.b64encode(ctypes.string_at(start, size)).decode()
    return programs


if __name__ == "__main__":
    main()
