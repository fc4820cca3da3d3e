"""Kept answers are used only where they are whole, the user's own, and of the same compiler."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from umtrace.sources.bpf.program_cache import _OF_ROOT, AT_MOST, VARIABLE, ProgramCache, file_state

KEY = f"{'a' * 32}-{'b' * 32}"


def key(number):
    return f"{number:032x}-{'b' * 32}"


@pytest.fixture
def compiler(tmp_path):
    """Return the file of a compiler."""
    path = tmp_path / "libbcc.so"
    path.write_text("1")
    return path


@pytest.fixture
def answer(compiler):
    return {"programs": {"p": "AAAA"}, "made_by": {str(compiler): file_state(compiler)}}


@pytest.fixture
def kept(tmp_path, answer):
    """Return a folder that holds one answer."""
    kept = ProgramCache(tmp_path / "cache")
    kept.put(KEY, answer)
    assert kept.get(KEY) == answer
    return kept


def the_file(kept):
    (path,) = kept.folder.iterdir()
    return path


def refused(kept, word):
    """Assert that nothing is had, and that one line says so."""
    assert kept.get(KEY) is None
    assert word in kept.remark
    assert VARIABLE in kept.remark
    assert "\n" not in kept.remark
    kept.remark = ""


def test_nobody_else_may_use_it(kept):
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    assert the_file(kept).stat().st_mode & 0o777 == 0o600


def test_what_is_not_there_is_no_trouble(kept, tmp_path):
    assert kept.get(key(1)) is None
    assert ProgramCache(tmp_path / "nothing").get(KEY) is None
    assert ProgramCache(None).get(KEY) is None
    ProgramCache(None).put(KEY, {})
    assert not kept.remark


@pytest.mark.parametrize("cut", [0, 1, 40, 100, -1])
def test_a_torn_file_is_refused_and_replaced(kept, answer, cut):
    whole = the_file(kept).read_bytes()
    the_file(kept).write_bytes(whole[:cut])
    refused(kept, "is damaged")
    kept.put(KEY, answer)
    assert the_file(kept).read_bytes() == whole
    assert kept.get(KEY) == answer


def test_every_changed_byte_is_noticed(kept):
    whole = the_file(kept).read_bytes()
    for at in range(len(whole)):
        the_file(kept).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        refused(kept, "is damaged")


def test_the_answer_of_another_key_is_refused(kept, answer):
    kept.put(key(1), answer)
    (kept.folder / f"{key(1)}.compiled").replace(kept.folder / f"{KEY}.compiled")
    refused(kept, "is damaged")


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_others_may_write_is_refused(kept, what):
    (kept.folder if what == "folder" else the_file(kept)).chmod(0o770)
    refused(kept, "others may use it (mode 770)")


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_is_anothers_is_refused(kept, answer, what):
    if os.geteuid():
        pytest.skip("needs root to give files away")
    os.chown(kept.folder if what == "folder" else the_file(kept), 65534, 65534)
    refused(kept, "belongs to user id 65534")
    kept.put(KEY, answer)
    assert bool(kept.remark) == (what == "folder")  # a file is replaced


def test_links_are_not_followed(kept, tmp_path):
    the_file(kept).rename(tmp_path / "elsewhere")
    (kept.folder / f"{KEY}.compiled").symlink_to(tmp_path / "elsewhere")
    refused(kept, "symbolic links")
    link = tmp_path / "link"
    link.symlink_to(kept.folder)
    refused(ProgramCache(link), "Not a directory")


def test_another_compiler_is_asked(kept, compiler):
    compiler.write_text("2 is newer")
    assert kept.get(KEY) is None
    compiler.unlink()
    assert kept.get(KEY) is None
    assert not kept.remark  # nothing is wrong


def test_a_folder_that_cannot_be_made(tmp_path, answer):
    (tmp_path / "file").write_text("")
    kept = ProgramCache(tmp_path / "file" / "cache")
    kept.put(KEY, answer)
    assert "Not a directory" in kept.remark


def test_what_does_not_fit_leaves_nothing(kept, answer):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        kept.put(key(1), answer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "not kept" in kept.remark
    assert "File too large" in kept.remark
    assert len(kept.names()) == 1


def test_the_last_used_stay(kept, answer):
    for number in range(AT_MOST + 5):
        kept.put(key(number), answer)
        os.utime(kept.folder / f"{key(number)}.compiled", (number, number))
        assert kept.get(KEY) == answer
    names = kept.names()
    assert len(names) == AT_MOST
    assert f"{KEY}.compiled" in names
    assert f"{key(AT_MOST + 4)}.compiled" in names
    assert f"{key(1)}.compiled" not in names
    assert kept.size() == sum(path.stat().st_size for path in kept.folder.iterdir())


def test_only_our_own_files_are_removed(kept):
    (kept.folder / "letters.txt").write_text("mine")
    (kept.folder / f".{KEY}.123").write_text("left by a killed recorder")
    assert len(kept.names()) == 2
    assert kept.clear() == 2
    assert [path.name for path in kept.folder.iterdir()] == ["letters.txt"]


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ProgramCache.of_this_user().folder == _OF_ROOT
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid or 1000)
    mine = tmp_path.stat().st_uid != 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path if mine else tmp_path / "to-be-made"))
    assert ProgramCache.of_this_user().folder == Path(os.environ["XDG_CACHE_HOME"], "umtrace")
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ProgramCache.of_this_user().folder is None  # sudo -u left another's
    monkeypatch.setenv(VARIABLE, "0")
    assert ProgramCache.of_this_user().folder is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "chosen"))
    assert ProgramCache.of_this_user().folder == tmp_path / "chosen"
