from __future__ import annotations

import os
import signal
import time

from umtrace.exercise.children import SharedWords, fork_child, reap
from umtrace.exercise.syscalls import get_comm


def test_a_child_has_its_name_and_shares_words(tmp_path):
    shared = SharedWords(2)

    def body():
        shared.words[1] = get_comm() == "umt-walker-1234"

    pid = fork_child("umt-walker-12345", tmp_path / "errors", body)
    assert reap([pid]) == [0]
    assert shared.words.tolist() == [0, 1]
    shared.close()


def test_a_failing_child_says_why_and_never_returns(tmp_path):
    def body():
        raise OSError(28, "No space left on device")

    assert reap([fork_child("umt-task-3", tmp_path / "errors", body)]) == [1]
    assert (tmp_path / "errors").read_text() == "umt-task-3: [Errno 28] No space left on device\n"


def test_children_leave_the_signals_of_the_terminal_to_the_parent(tmp_path):
    shared = SharedWords(1)

    def body():
        shared.words[0] = 1
        while shared.words[0] != 2:
            time.sleep(0.001)

    pid = fork_child("umt-walker-0", tmp_path / "errors", body)
    while shared.words[0] == 0:
        time.sleep(0.001)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    shared.words[0] = 2
    assert reap([pid]) == [0]
    shared.close()
