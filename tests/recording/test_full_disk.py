from __future__ import annotations

import errno
import resource
import subprocess

import pytest

from tests.recording import samples
from umtrace.recording import Recording, RecordingWriter, repair
from umtrace.recording.chunk_writer import Limits


def fill(path, limits):
    """Write until the disk refuses; return the error, the rows offered, and the writer."""
    writer = RecordingWriter(path, samples.meta(), limits=limits)
    flushed = 0
    try:
        while flushed < 1_000_000:
            writer.write(samples.batch(flushed, 50), samples.rows(flushed, 50))
            writer.flush()
            flushed += 50
    except OSError as error:
        return error, flushed, writer
    raise AssertionError("the disk never filled up")


def check(path, limits, code, relieve):
    error, flushed, writer = fill(path, limits)
    assert error.errno == code
    assert error.filename == str(path)
    assert writer.failed
    writer.write(samples.batch(0, 10))  # the error was told once
    writer.flush()
    writer.close()
    for step in (lambda: None, lambda: repair(path)):
        step()
        recording = Recording.open(path)
        events, rows = samples.event_numbers(recording), samples.row_numbers(recording)
        assert events == list(range(len(events)))
        assert rows == list(range(len(rows)))
        assert min(len(events), len(rows)) >= flushed > 0
        assert any("writing stopped at 2" in problem for problem in recording.problems)
        assert not recording.damaged
        relieve()
    assert not Recording.open(path).is_open


@pytest.mark.kernel
@pytest.mark.parametrize("chunk_rows", [200, 100_000], ids=["rolling", "one chunk"])
def test_a_full_disk_keeps_what_was_written(tmp_path, chunk_rows):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
    grow = ["mount", "-o", "remount,size=8m", disk]
    try:
        check(
            disk / "r",
            Limits(chunk_rows=chunk_rows),
            errno.ENOSPC,
            lambda: subprocess.run(grow, check=True),
        )
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_file_size_limit_is_a_disk_error_too(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def relieve():
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        check(tmp_path / "r", Limits(), errno.EFBIG, relieve)
    finally:
        relieve()


def test_the_disk_is_full_at_the_start(tmp_path, monkeypatch):
    from umtrace.recording import layout

    def full(fd, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(layout, "write_all", full)
    with pytest.raises(OSError, match="No space left") as caught:
        RecordingWriter(tmp_path / "r", samples.meta())
    assert caught.value.filename == str(tmp_path / "r")
    monkeypatch.undo()
    RecordingWriter(tmp_path / "r", samples.meta()).close()  # nothing blocks the next try
