"""A directory whose name others change while it is written to, and what they put into it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess

import pytest

from tests.recording import samples
from umtrace.model.errors import NotPermittedError
from umtrace.recording import Recording, RecordingWriter, repair
from umtrace.recording.layout import META
from umtrace.recording.place import PlaceLostError

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another user")


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def started(path):
    """Return a writer with 50 rows on disk."""
    writer = RecordingWriter(path, samples.meta())
    writer.write(samples.batch(0, 50), samples.rows(0, 50))
    writer.flush()
    return writer


def go_on(writer):
    """Write more: the writer notices when it is flushed; returns its error."""
    writer.write(samples.batch(50, 10), samples.rows(50, 10))
    with pytest.raises(PlaceLostError) as caught:
        writer.flush()
    assert writer.failed
    writer.flush()  # said once
    writer.close()
    return caught.value


@pytest.mark.parametrize(
    ("mode", "owner"),
    [
        (0o777, NOBODY),
        (0o700, NOBODY),
        (0o1777, NOBODY),
        (0o777, None),
        (0o720, None),
        (0o1777, None),
    ],
)
def test_a_directory_of_others_is_refused(tmp_path, mode, owner):
    path = tmp_path / "r"
    path.mkdir()
    path.chmod(mode)
    if owner:
        if os.geteuid():
            pytest.skip("gives a directory to another user")
        os.chown(path, owner, owner)
    before = path.stat()
    with pytest.raises(NotPermittedError, match="choose a directory that is not there yet"):
        RecordingWriter(path, samples.meta())
    after = path.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert not contents(path)


@as_root
def test_a_recording_of_others_is_not_replaced(tmp_path):
    started(tmp_path / "r").close()
    os.chown(tmp_path / "r", NOBODY, NOBODY)
    before = contents(tmp_path / "r")
    with pytest.raises(NotPermittedError, match="belongs to user id 65534"):
        RecordingWriter(tmp_path / "r", samples.meta(), force=True)
    assert contents(tmp_path / "r") == before


@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_a_symlink_is_refused(tmp_path, target):
    (tmp_path / "there").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / target)
    with pytest.raises(NotPermittedError, match="symbolic link"):
        RecordingWriter(tmp_path / "r", samples.meta())
    assert not contents(tmp_path / "there")


@pytest.mark.parametrize(("mode", "ok"), [(0o777, False), (0o1777, True), (0o775, True)])
def test_a_directory_above_that_everybody_writes_to(tmp_path, mode, ok):
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(mode)
    if ok:
        started(above / "r").close()
        assert Recording.open(above / "r").umounts().num_rows == 50
    else:
        with pytest.raises(NotPermittedError, match="sticky"):
            RecordingWriter(above / "r", samples.meta())
        assert not list(above.iterdir())


def test_a_directory_of_ours_becomes_private(tmp_path):
    (tmp_path / "r").mkdir(mode=0o755)
    started(tmp_path / "r").close()
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o700


@pytest.mark.parametrize("instead", ["symlink", "directory", "nothing", "file"])
def test_what_is_put_in_its_place_is_not_written_to(tmp_path, instead):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / META).write_text("precious")
    writer = started(tmp_path / "r")
    (tmp_path / "r").rename(tmp_path / "moved")
    if instead == "symlink":
        (tmp_path / "r").symlink_to(victim)
    elif instead == "directory":
        shutil.copytree(victim, tmp_path / "r")
    elif instead == "file":
        (tmp_path / "r").write_text("precious")
    error = go_on(writer)
    assert error.filename == str(tmp_path / "r")
    assert str(tmp_path / "moved") in error.strerror
    assert contents(victim) == {META: b"precious"}
    if instead == "directory":
        assert contents(tmp_path / "r") == {META: b"precious"}
    recording = Recording.open(tmp_path / "moved")  # finished, with what came until then
    assert not recording.is_open
    assert recording.umounts().num_rows >= 50
    assert any("writing stopped" in problem for problem in recording.problems)
    assert not recording.damaged


def test_it_is_noticed_at_the_end_too(tmp_path):
    writer = started(tmp_path / "r")
    (tmp_path / "r").rename(tmp_path / "moved")
    with pytest.raises(PlaceLostError, match="renamed"):
        writer.close()
    assert not Recording.open(tmp_path / "moved").is_open


def test_a_directory_that_is_removed(tmp_path):
    writer = started(tmp_path / "r")
    shutil.rmtree(tmp_path / "r")
    error = go_on(writer)
    assert error.gone
    assert "removed" in error.strerror
    assert not (tmp_path / "r").exists()


def test_an_open_chunk_that_is_removed(tmp_path):
    writer = started(tmp_path / "r")
    (tmp_path / "r/umounts-00001.arrows").unlink()
    error = go_on(writer)
    assert error.strerror.startswith("umounts-00001.arrows was removed")


@pytest.mark.kernel
def test_a_file_system_that_is_unmounted(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
    try:
        writer = started(disk / "r")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    error = go_on(writer)
    assert "unmounted" in error.strerror
    assert not list(disk.iterdir())


@pytest.mark.parametrize("bait", ["symlink", "hard link", "fifo"])
def test_temporary_names_that_others_prepared(tmp_path, bait):
    """Who repairs a recording of another user writes into a directory that he writes to."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    writer = started(tmp_path / "r")
    writer._let_go()
    streams = [path.stem for path in (tmp_path / "r").glob("*.arrows")]
    for name in (META, *(f"{stem}.parquet" for stem in streams)):
        place = tmp_path / "r" / f"{name}.tmp"
        if bait == "symlink":
            place.symlink_to(victim)
        elif bait == "hard link":
            place.hardlink_to(victim)
        else:
            os.mkfifo(place)
    assert repair(tmp_path / "r").rows_kept
    assert victim.read_text() == "precious"
    assert Recording.open(tmp_path / "r").umounts().num_rows == 50
