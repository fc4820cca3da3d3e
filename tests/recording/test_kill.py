"""``kill -9`` at any moment: what was flushed is read exactly once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.recording import samples
from umtrace.recording import Recording, repair

# The script forks its writers before it has threads: one interpreter start for all kills.
SCRIPT = """
import json, os, random, signal, sys, time
from tests.recording import samples
from umtrace.recording import RecordingWriter
from umtrace.recording.chunk_writer import Limits

def write(path, chunk_rows, out):
    writer = RecordingWriter(path, samples.meta(), limits=Limits(chunk_rows=chunk_rows))
    number = 0
    while True:
        count = random.randrange(1, 9)
        writer.write(samples.batch(number, count), samples.rows(number, count))
        number += count
        if random.random() < 0.5:
            writer.flush()
            os.write(out, number.to_bytes(8, "little"))

base, chunk_rows, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
flushed = []
for run in range(kills):
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            random.seed(run)
            write(f"{base}/{run}", chunk_rows, write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    first = os.read(read_end, 8)
    time.sleep(random.Random(run).uniform(0, 0.1))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    data = first
    while part := os.read(read_end, 65536):
        data += part
    os.close(read_end)
    flushed.append(int.from_bytes(data[-8:], "little"))
print(json.dumps(flushed))
"""

KILLS = 8


@pytest.mark.parametrize("chunk_rows", [7, 1000], ids=["rolling all the time", "one chunk"])
def test_what_was_flushed_survives(tmp_path, chunk_rows):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path, str(chunk_rows), str(KILLS)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    flushed = json.loads(done.stdout)
    assert len(flushed) == KILLS
    for run, count in enumerate(flushed):
        check(tmp_path / str(run), count)


def check(path, flushed):
    recording = Recording.open(path)
    events, rows = samples.event_numbers(recording), samples.row_numbers(recording)
    assert events == list(range(len(events)))
    assert rows == list(range(len(rows)))
    assert len(events) >= len(rows) >= flushed > 0
    assert "rows missing" not in "\n".join(recording.problems)
    report = repair(path)
    repaired = Recording.open(path)
    assert samples.event_numbers(repaired) == events
    assert samples.row_numbers(repaired) == rows
    assert not repaired.is_open
    assert not report.aside or report.bytes_lost
    assert not repair(path).changed
