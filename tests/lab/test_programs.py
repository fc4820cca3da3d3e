"""Compiled programs go into the next guest, and what a guest compiled comes back."""

from __future__ import annotations

import os
import tarfile

from lab import job, programs
from lab.job import Job


def store(folder, *names, at=1000):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
        os.utime(folder / name, (at, at))


def test_a_guest_gets_what_is_stored_closed_to_others(tmp_path):
    store(tmp_path / "programs", "a.compiled", "b.tables")
    (tmp_path / "programs" / "link").symlink_to("/etc/passwd")
    job.write_tar(tmp_path / "job.tar", Job(), "6.1", compiled=tmp_path / "programs")
    with tarfile.open(tmp_path / "job.tar") as archive:
        found = {m.name: m for m in archive if m.name.startswith("var/")}
        place = found.pop("var/cache/umtrace")
        assert (place.isdir(), place.mode, place.uid) == (True, 0o700, 0)
        assert set(found) == {f"var/cache/umtrace/{name}" for name in ("a.compiled", "b.tables")}
        assert {(m.mode, m.uid, m.mtime) for m in found.values()} == {(0o600, 0, 1000)}


def test_a_kernel_that_never_ran_has_none(tmp_path):
    job.write_tar(tmp_path / "job.tar", Job(), "6.1", compiled=programs.folder(tmp_path, "6.1"))
    with tarfile.open(tmp_path / "job.tar") as archive:
        assert not [name for name in archive.getnames() if name.startswith("var/")]


def test_what_comes_back_is_stored_and_leaves_the_files_of_the_run(tmp_path):
    kept = programs.folder(tmp_path, "6.1")
    store(kept, "old")
    store(tmp_path / "out" / programs.RETURNED, "old", "new", at=2000)
    (tmp_path / "out" / "rows.json").write_text("[]")
    programs.take(tmp_path / "out" / programs.RETURNED, kept)
    assert {path.name for path in kept.iterdir()} == {"old", "new"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rows.json"]
    assert (kept / "old").stat().st_mtime == 2000


def test_those_that_were_not_used_for_longest_are_dropped(tmp_path):
    kept, back = tmp_path / "programs", tmp_path / "back"
    store(kept, "oldest", at=1)
    for number in range(programs.MOST):
        store(back, f"p{number}", at=100 + number)
    programs.take(back, kept)
    assert {path.name for path in kept.iterdir()} == {f"p{n}" for n in range(programs.MOST)}


def test_a_guest_that_returned_nothing_changes_nothing(tmp_path):
    store(tmp_path / "programs", "a")
    programs.take(tmp_path / "not there", tmp_path / "programs")
    assert [path.name for path in (tmp_path / "programs").iterdir()] == ["a"]
