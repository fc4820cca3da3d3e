"""The recorder of one CPU gives way until its ring fills, and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.system.umtrace_command import COMMAND, start_recording
from umtrace.pipeline.pace import (
    IDLE_AFTER_S,
    IDLE_TICK_S,
    LOWER_AFTER_S,
    READER_NICE,
    WAITING_NICE,
)

pytestmark = pytest.mark.kernel
STAT_NICE = 16  # fields of /proc/PID/stat after the name


def nice(pid):
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[STAT_NICE])


def wakeups(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [text for text in lines if text.startswith("voluntary_ctxt_switches")]
    return int(line.split()[1])


def raised_after_stops(recorder):
    """Stop the reader for longer and longer, until it finds that much in its ring."""
    stop_s = 0.1
    while nice(recorder.pid) != READER_NICE and stop_s < 2:
        recorder.send_signal(signal.SIGSTOP)
        time.sleep(stop_s)
        recorder.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        stop_s *= 1.5
    return nice(recorder.pid) == READER_NICE


def is_lowered(recorder, before):
    """Wait for it; on a busy host the reader is late."""
    until = time.monotonic() + 10 * LOWER_AFTER_S
    while (found := nice(recorder.pid)) == READER_NICE and time.monotonic() < until:
        time.sleep(0.1)
    return found in {before, WAITING_NICE}


def test_it_is_raised_only_while_the_ring_fills(tmp_path):
    cpu = min(os.sched_getaffinity(0))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    recorder = start_recording(tmp_path / "r", "--tier", "tracepoint")
    os.sched_setaffinity(recorder.pid, {cpu})
    exercise = [*COMMAND, "exercise", "--tasks", "64", "--duration", "4"]
    try:
        time.sleep(0.5)
        assert is_lowered(recorder, before)
        with subprocess.Popen(["taskset", "-c", str(cpu), *exercise], stdout=subprocess.DEVNULL):
            time.sleep(1)  # until its tasks run
            assert raised_after_stops(recorder)
        assert is_lowered(recorder, before)
    finally:
        recorder.send_signal(signal.SIGINT)
        said = recorder.communicate()[1]
    assert recorder.returncode == 0
    assert "losses" not in said  # -q says only what was lost


def test_it_wakes_a_few_times_a_second_while_nothing_comes(tmp_path):
    recorder = start_recording(tmp_path / "r", "--tier", "tracepoint")
    try:
        time.sleep(IDLE_AFTER_S + 1)
        began = wakeups(recorder.pid)
        time.sleep(4)
        woken = wakeups(recorder.pid) - began
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.communicate()
    # Others may unmount meanwhile, and a busy host wakes it less often; it was 20 times a second.
    assert 0 < woken <= 2.5 * 4 / IDLE_TICK_S
