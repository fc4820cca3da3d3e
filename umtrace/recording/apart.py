"""Read open chunks in a process of its own: what a stranger wrote may crash Arrow.

One process is started when the first such chunk is read. It forks for each chunk, and each
fork has limits of memory and processor time. What comes back was written by Arrow itself.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from umtrace.recording.files import open_regular
from umtrace.recording.stream import READ_ERRORS
from umtrace.search_path import python_child

DIED = "it crashes the reader, or needs too much memory or time"


class ApartReader:
    """Reads the complete messages of a stream as it was when this was made.

    As `stream.StreamReader`, but nothing in the file can end this process.
    """

    def __init__(self, path: Path) -> None:
        self._fd = open_regular(path)
        self.size: int = os.fstat(self._fd).st_size
        self.readable = 0
        self.rows = 0
        self.why = ""  #: the error that ended the reading, empty at a clean end
        self._answer: io.BufferedReader | None = None
        self._found: pa.RecordBatchStreamReader | None = None

    def __del__(self) -> None:
        self._close()

    @property
    def torn(self) -> int:
        """Return the bytes at the end that cannot be read."""
        return self.size - self.readable

    @property
    def schema(self) -> pa.Schema | None:
        """Return the schema; None where even that is unreadable, ``why`` says why then."""
        if self._answer is None and self._fd >= 0:
            self._begin()
        return None if self._found is None else self._found.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the complete batches; stops, without raising, at the first damage."""
        while self.schema is not None and self._found is not None:
            try:
                batch, about = self._found.read_next_batch_with_custom_metadata()
                readable = int(about[b"readable"])
            except StopIteration:
                break
            except READ_ERRORS:  # the fork died in the middle of a batch
                break
            self.readable = readable
            self.rows += batch.num_rows
            yield batch
        self._finish()

    def _begin(self) -> None:
        self._answer = _ASKED.ask(self._fd, self.size)
        os.close(self._fd)
        self._fd = -1
        try:
            self.readable = int(json.loads(self._answer.readline())["readable"])
            if self.readable:
                self._found = pa.ipc.open_stream(self._answer)
                return
        except READ_ERRORS:
            self.why = DIED
        self._finish()

    def _finish(self) -> None:
        if self._answer is None or self._answer.closed:
            return
        try:
            end = json.loads(self._answer.read())
            self.readable, self.why = int(end["readable"]), str(end["why"])
        except READ_ERRORS:
            self.why = DIED
        self._close()

    def _close(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            os.close(self._fd)
            self._fd = -1
        if getattr(self, "_answer", None) is not None and self._answer:
            self._answer.close()


class _Asked:
    """The process that is asked; started when it is needed, again where it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, fd: int, size: int) -> io.BufferedReader:
        """Have the first ``size`` bytes of a file read; return where the answer comes."""
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            with self._lock:
                self._send(b"%d" % size, [fd, theirs])
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return os.fdopen(ours, "rb")

    def _send(self, request: bytes, fds: list[int]) -> None:
        try:
            socket.send_fds(self._connected(), [request], fds)
        except ConnectionError:  # it was killed
            self.close()
            socket.send_fds(self._connected(), [request], fds)

    def _connected(self) -> socket.socket:
        if self._socket is None or self._owner != os.getpid():
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                number = theirs.fileno()
                self._child = subprocess.Popen(
                    python_child("umtrace.recording.apart_child", str(number)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # another one reserves more than the limit at once
                    env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
                    pass_fds=[number],
                )
            self._socket, self._owner = ours, os.getpid()
        return self._socket

    def close(self) -> None:
        """End the process; its forks end with the pipes they write to."""
        if self._socket is None or self._child is None or self._owner != os.getpid():
            return
        self._socket.close()
        self._child.wait()
        self._socket = self._child = None


_ASKED = _Asked()
atexit.register(_ASKED.close)
