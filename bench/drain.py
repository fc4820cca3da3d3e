"""Emptying the ring: numpy batches beside bcc's ring-buffer and perf-buffer callbacks.

    sudo .venv/bin/python -m bench.drain --seconds 3

A program on raw_syscalls:sys_enter sends 64 events of 64 bytes for every system call of one
process, as fast as it goes or at a given rate; needs root and bcc. A reader's cost is CPU time of
its process.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from typing import Any

from bench.child import in_child
from umtrace.model.events import EVENT_DTYPE
from umtrace.pipeline.pace import READER_NICE
from umtrace.sources.bpf.text import headers_directory

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
EVENTS_A_CALL = 64
#: events a second; 0 is as fast as the sender goes
RATES = (0, 500_000, 1_000_000, 2_000_000, 5_000_000, 8_000_000)
WAYS = ("umtrace", "bcc ring buffer", "bcc perf buffer")
# It ends by itself: a reader that is slower than it never comes to the end of the buffer.
_SEND = """
import os, sys, time
seconds, calls_a_ms = float(sys.argv[1]), float(sys.argv[2])
input()
began, sent = time.monotonic(), 0
while (passed := time.monotonic() - began) < seconds:
    due = passed * 1000 * calls_a_ms if calls_a_ms else sent + 1000
    while sent < due:
        os.getppid()
        sent += 1
    if calls_a_ms:
        time.sleep(0.001)
"""


def _measure(way: str, seconds: float, rate: int, answer: Any) -> None:
    os.environ.setdefault("BCC_KERNEL_SOURCE", str(headers_directory()))
    import bcc

    command = [sys.executable, "-c", _SEND, str(seconds), str(rate / EVENTS_A_CALL / 1000)]
    sender = subprocess.Popen(command, stdin=subprocess.PIPE)
    text = _PERF if way == "bcc perf buffer" else _RING
    program = bcc.BPF(text=text, cflags=[f"-DSENDER={sender.pid}", "-w"])
    os.setpriority(os.PRIO_PROCESS, 0, READER_NICE)  # the recorder's while its ring fills; for all
    handled = 0

    def callback(_cpu: int, data: int, _size: int) -> None:
        nonlocal handled
        handled += ctypes.cast(data, ctypes.POINTER(ctypes.c_uint64 * 8)).contents[0] > 0

    if way == "umtrace":
        from umtrace.sources.bpf.rings import RingReader

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
        "way": way, "rate": rate, "handled": handled, "sent": sent, "dropped": dropped,
        "cpu_s": used, "wall_s": wall, "events_per_cpu_s": handled / used,
        "offered_per_s": (sent + dropped) / seconds,
    })  # fmt: skip


def measure(way: str, seconds: float, rate: int = 0) -> dict[str, Any]:
    """Run one reader in a process of its own."""
    return in_child(_measure, (way, seconds, rate), seconds * 20 + 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3)
    given = parser.parse_args()
    for rate in RATES:
        for way in WAYS:
            print(json.dumps(measure(way, given.seconds, rate)), flush=True)


if __name__ == "__main__":
    main()
