"""Emptying the ring: numpy batches beside bcc's ring-buffer and perf-buffer callbacks.

    sudo .venv/bin/python -m bench.drain --seconds 3

A program on raw_syscalls:sys_enter sends 64 events of 64 bytes for every system call of one
busy process, as fast as it goes; needs root and bcc. A reader's cost is CPU time of its process.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import subprocess
import sys
import time
from typing import Any

from umtrace.pipeline import READER_NICE
from umtrace.records.events import EVENT_DTYPE
from umtrace.sources.bpf_files import headers_directory

_PROGRAM = """
struct event { u64 word[8]; };
BPF_PERCPU_ARRAY(counts, u64, 2);
%s
static inline void count(u32 what) { u64 *n = counts.lookup(&what); if (n) (*n)++; }
RAW_TRACEPOINT_PROBE(sys_enter)
{
    if (bpf_get_current_pid_tgid() >> 32 != SENDER)
        return 0;
#pragma unroll
    for (int i = 0; i < 64; i++) {
        %s
    }
    return 0;
}
"""
_RING = _PROGRAM % (
    "BPF_RINGBUF_OUTPUT(events, 4096);",
    """struct event *e = events.ringbuf_reserve(sizeof(struct event));
        if (!e) { count(1); continue; }
        e->word[0] = bpf_ktime_get_ns();
        events.ringbuf_submit(e, 1);
        count(0);""",
)
_PERF = _PROGRAM % (
    "BPF_PERF_OUTPUT(events);",
    """struct event e = {};
        e.word[0] = bpf_ktime_get_ns();
        if (events.perf_submit(ctx, &e, sizeof(e))) count(1); else count(0);""",
)
WAYS = ("umtrace", "bcc ring buffer", "bcc perf buffer")
# It ends by itself: a reader that is slower than it never comes to the end of the buffer.
_SEND = """
import os, sys, time
input()
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for _ in range(1000):
        os.getppid()
"""


def _measure(way: str, seconds: float, answer: Any) -> None:
    os.environ.setdefault("BCC_KERNEL_SOURCE", str(headers_directory()))
    import bcc

    command = [sys.executable, "-c", _SEND, str(seconds)]
    sender = subprocess.Popen(command, stdin=subprocess.PIPE)
    text = _PERF if way == "bcc perf buffer" else _RING
    program = bcc.BPF(text=text, cflags=[f"-DSENDER={sender.pid}", "-w"])
    os.setpriority(os.PRIO_PROCESS, 0, READER_NICE)  # as the recorder has it; for all readers
    handled = 0

    def callback(_cpu: int, data: int, _size: int) -> None:
        nonlocal handled
        handled += ctypes.cast(data, ctypes.POINTER(ctypes.c_uint64 * 8)).contents[0] > 0

    if way == "umtrace":
        from umtrace.sources.ringbuf import RingReader

        ring = RingReader(program[b"events"].map_fd, 16 << 20, EVENT_DTYPE)
    elif way == "bcc ring buffer":
        program[b"events"].open_ring_buffer(callback)
    else:
        program[b"events"].open_perf_buffer(callback, page_cnt=2048)
    assert sender.stdin
    sender.stdin.write(b"\n")
    sender.stdin.flush()
    began, cpu = time.monotonic(), time.process_time()
    over = False
    while not over:
        over = sender.poll() is not None  # what is left then is handled too
        if way == "umtrace":
            handled += int((ring.read()["ts_ns"] > 0).sum())
            time.sleep(0.005)
        elif way == "bcc ring buffer":
            program.ring_buffer_consume()
        else:
            program.perf_buffer_poll(timeout=5)
    used, wall = time.process_time() - cpu, time.monotonic() - began
    counts = program[b"counts"]
    sent, dropped = (sum(counts[ctypes.c_int(i)]) for i in (0, 1))
    sender.stdin.close()
    answer.put({
        "way": way, "handled": handled, "sent": sent, "dropped": dropped, "cpu_s": used,
        "wall_s": wall, "events_per_cpu_s": handled / used,
        "offered_per_s": (sent + dropped) / wall,
    })  # fmt: skip


def measure(way: str, seconds: float) -> dict[str, Any]:
    """Run one reader in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_measure, args=(way, seconds, answer))
    process.start()
    result: dict[str, Any] = answer.get(timeout=seconds * 20 + 30)
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3)
    given = parser.parse_args()
    for way in WAYS:
        print(json.dumps(measure(way, given.seconds)), flush=True)


if __name__ == "__main__":
    main()
