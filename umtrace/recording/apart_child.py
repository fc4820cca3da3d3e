"""The process that reads open chunks for another one: see ``apart``."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from umtrace.recording.stream import READ_ERRORS, StreamReader, one_line

_MEMORY = 1 << 30  # bytes above those that the imports took
_CPU_S = 60
_REQUEST_BYTES = 32


def main() -> None:
    """Serve requests from a socket, whose number is the last argument, until it closes."""
    number = int(sys.argv[-1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks decides
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    pa.set_cpu_count(1)
    with socket.socket(fileno=number) as asked:
        while True:
            request, fds, _, _ = socket.recv_fds(asked, _REQUEST_BYTES, 2)
            if not request:
                return
            if os.fork() == 0:
                asked.close()
                _answer_and_end(fds[0], fds[1], int(request))
            for fd in fds:
                os.close(fd)


def _answer_and_end(fd: int, out: int, size: int) -> None:
    try:
        _limit()
        with os.fdopen(out, "wb") as file:
            _answer(StreamReader(Path(f"/proc/self/fd/{fd}"), size), file)
    finally:
        os._exit(0)


def _answer(reader: StreamReader, out: BinaryIO) -> None:
    """Write a line, then what was read as a stream of our own, then how it ended."""
    try:
        if reader.schema is not None:
            _say(out, readable=reader.readable)
            _copy(reader, reader.schema, out)
        else:
            _say(out, readable=0)
    except (MemoryError, pa.ArrowMemoryError) as error:
        reader.why = one_line(error)
    _say(out, readable=reader.readable, why=reader.why)


def _copy(reader: StreamReader, schema: pa.Schema, out: BinaryIO) -> None:
    with pa.ipc.new_stream(out, schema) as copy:
        try:
            for batch in reader.batches():
                copy.write_batch(batch, custom_metadata={b"readable": b"%d" % reader.readable})
        except READ_ERRORS as error:
            reader.why = one_line(error)


def _say(out: BinaryIO, **values: object) -> None:
    out.write(json.dumps(values).encode() + b"\n")
    out.flush()


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
