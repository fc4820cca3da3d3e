"""Makes calls that may never return: in a child process, with a deadline.

A dead server (FUSE, NFS) or the locked memory of another task can keep the caller in the kernel,
where no signal ends it. A thread in such a call would keep its process from ending. A child process
can be left behind: it has no probes and no recording.
"""

from __future__ import annotations

import errno
import marshal
import math
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from umtrace.holders import answering

PATIENCE_S = 1.0
#: after one question got no answer
_PATIENCE_THEN_S = 0.2
_TO_DIE_S = 0.05
#: for a child that waits for a CPU
_TURNS, _TURN_S = 100, 0.1
#: questions sent ahead of their answers
_AT_ONCE = 256
_here = threading.local()
_askers: weakref.WeakSet[Asker] = weakref.WeakSet()
#: children that were left behind; subprocess warns if one is collected before it has ended
_left_behind: list[subprocess.Popen[bytes]] = []


class _Child:
    """A child process, and the pipes to it and from it."""

    def __init__(self) -> None:
        questions, self.ask = os.pipe()
        self.answer, answers = os.pipe()
        self.unread = b""
        self.pending = 0  #: answers that it still owes
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", answering.__file__],
                stdin=questions,
                stdout=answers,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,  # a Ctrl-C does not end it
            )
        finally:
            os.close(questions)
            os.close(answers)

    def put(self, what: str, questions: Sequence[tuple[object, ...]]) -> None:
        """Send questions; the child reads them before it makes a call that may take long."""
        self.pending += len(questions)
        data = marshal.dumps((what, list(questions)))
        data = len(data).to_bytes(4, "little") + data
        while data:
            data = data[os.write(self.ask, data) :]

    def get(self, patience_s: float, until: float) -> Any:
        """Return an answer; TimeoutError if there is none, EOFError if the child has ended."""
        size = int.from_bytes(self._read(4, patience_s, until), "little")
        answer = marshal.loads(self._read(size, patience_s, until))  # noqa: S302 - from the own child
        self.pending -= 1
        return answer

    def _read(self, size: int, patience_s: float, until: float) -> bytes:
        patient_until = min(time.monotonic() + patience_s, until)
        while len(self.unread) < size:
            if not self._has_more(patient_until) and not self._is_late(until):
                raise TimeoutError
            data = os.read(self.answer, 1 << 16)
            if not data:
                raise EOFError
            self.unread += data
        found, self.unread = self.unread[:size], self.unread[size:]
        return found

    def _has_more(self, until: float) -> bool:
        left = max(until - time.monotonic(), 0)
        return bool(select.select([self.answer], [], [], left)[0])

    def _is_late(self, until: float) -> bool:
        """Whether it still answers: on a loaded host it may wait long for a CPU."""
        turns = 0
        while turns < _TURNS and time.monotonic() < until and self._waits_for_a_cpu():
            turns += 1
            if self._has_more(min(time.monotonic() + _TURN_S, until)):
                return True
        return False

    def _waits_for_a_cpu(self) -> bool:
        with suppress(OSError), open(f"/proc/{self.process.pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2][1:2] == b"R"
        return False

    def end(self) -> bool:
        """Kill it; False if it has not ended, because its call in the kernel has not returned."""
        self.process.kill()
        os.close(self.ask)
        os.close(self.answer)
        turns = 0
        while self.process.poll() is None and turns <= _TURNS:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_TURN_S if turns else _TO_DIE_S)
            turns += 1 if self._waits_for_a_cpu() else _TURNS + 1
        if self.process.returncode is None:
            _left_behind[:] = [left for left in _left_behind if left.poll() is None]
            _left_behind.append(self.process)
        return self.process.returncode is not None


class Asker:
    """Asks a child process; if it does not answer, it is killed, left behind and replaced.

    For use by one thread.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._left: list[_Child] = []

    @property
    def left(self) -> set[int]:
        """The pids of children left in the kernel: they hold what they were asked about."""
        self._left = [child for child in self._left if child.process.poll() is None]
        return {child.process.pid for child in self._left}

    @property
    def pids(self) -> set[int]:
        """The pids of all children that have not ended."""
        return self.left | ({self._child.process.pid} if self._child else set())

    def start(self) -> _Child:
        """Start the child; may be called before the first question, and does not wait."""
        if self._child is None:
            self._child = _Child()
        return self._child

    def ask(self, what: str, *args: object, patience_s: float = PATIENCE_S) -> Any:
        """Return the answer to one question; OSError, with ETIMEDOUT if there is none."""
        (answer,) = self.each(what, [args], patience_s=patience_s)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def each(
        self,
        what: str,
        questions: Sequence[tuple[object, ...]],
        *,
        patience_s: float = PATIENCE_S,
        until: float = math.inf,
    ) -> Iterator[Any]:
        """Yield the answer to each question, in order; an OSError if there is none.

        Ends early at ``until`` (monotonic, seconds); later answers are discarded.
        """
        number = 0
        while number < len(questions) and time.monotonic() < until:
            some = questions[number : number + _AT_ONCE]
            for answer in self._answers(what, some, patience_s, until):
                number += 1
                if isinstance(answer, TimeoutError):
                    patience_s = min(patience_s, _PATIENCE_THEN_S)
                yield answer

    def of_each(
        self, what: str, pids: Sequence[int], *args: object, until: float = math.inf
    ) -> Iterator[tuple[int, Any]]:
        """Yield each process with the answer; a question without one is asked again at the end.

        On a loaded host a task may wait for more than a second in the middle of execve(2).
        """
        again = []
        answers = self.each(what, [(pid, *args) for pid in pids], until=until)
        for pid, answer in zip(pids, answers, strict=False):
            if isinstance(answer, TimeoutError):
                again.append(pid)
            else:
                yield pid, answer
        answers = self.each(what, [(pid, *args) for pid in again], until=until)
        yield from zip(again, answers, strict=False)

    def close(self) -> None:
        """End the child; does not wait longer than for a child that does not answer."""
        child, self._child = self._child, None
        if child is not None and not child.end():
            self._left.append(child)

    def _idle(self, patience_s: float, until: float) -> _Child:
        """Return a child without open questions; a new one if the old one does not answer."""
        try:
            child = self.start()
            while child.pending:
                child.get(patience_s, until)
        except (TimeoutError, EOFError):
            self.close()
        return self.start()

    def _answers(
        self, what: str, questions: Sequence[tuple[object, ...]], patience_s: float, until: float
    ) -> Iterator[Any]:
        """Yield answers; if the child gives none, the last is that error."""
        try:
            child = self._idle(patience_s, until)
            child.put(what, questions)
            for _ in questions:
                code, value = child.get(patience_s, until)
                yield value if code == 0 else OSError(code, os.strerror(code))
        except TimeoutError:
            if time.monotonic() < until:
                self.close()
                yield TimeoutError(errno.ETIMEDOUT, f"no answer in {patience_s:g} s")
        except (EOFError, BrokenPipeError):
            self.close()
            yield OSError(errno.EIO, "the process that asked was killed")


def asker() -> Asker:
    """Return the `Asker` of this thread."""
    if not hasattr(_here, "asker"):
        _here.asker = Asker()
        _askers.add(_here.asker)
    found: Asker = _here.asker
    return found


def children() -> set[int]:
    """Return the pids of the child processes of all threads, which hold nothing by themselves."""
    return set().union(*(each.pids for each in [*_askers]))
