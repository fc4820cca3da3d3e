"""A file that is written beside hostile users: whole or not at all, and through no symlink."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from umtrace.model import whole_file
from umtrace.model.errors import UsageError
from umtrace.model.whole_file import written_whole


@pytest.fixture(params=["nameless", "named", "no hard links"])
def way(request, monkeypatch):
    """File systems without O_TMPFILE, or without hard links either, are written to as well."""
    opened = os.open

    def open_(path, flags, *rest, **options):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return opened(path, flags, *rest, **options)

    def link(*_names, **_options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if request.param != "nameless":
        monkeypatch.setattr(whole_file.os, "open", open_)
    if request.param == "no hard links":
        monkeypatch.setattr(whole_file.os, "link", link)
    return request.param


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, data=b"new", *, force=False):
    with written_whole(path, force=force) as file:
        file.write(data)


@pytest.mark.parametrize("force", [False, True])
def test_a_new_file(way, tmp_path, force):
    write(tmp_path / "x", force=force)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    assert names(tmp_path) == ["x"]


def test_symlinks_are_not_written_through(way, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in ("x", "x.partial", "x.tmp"):
        (tmp_path / name).symlink_to(victim)
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path / "x")
    write(tmp_path / "x", force=True)
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "x").read_bytes() == b"new"
    assert not (tmp_path / "x").is_symlink()


def test_a_symlink_to_nowhere_is_there_already(way, tmp_path):
    (tmp_path / "x").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path / "x")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_of_the_users_stays(way, tmp_path):
    (tmp_path / "x.partial").write_bytes(b"mine")
    write(tmp_path / "x")
    assert (tmp_path / "x.partial").read_bytes() == b"mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_a_failure_leaves_all_as_it_was(way, tmp_path, error):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises((KeyboardInterrupt, OSError)), written_whole(tmp_path / "x", force=True):
        raise error
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_an_error_names_the_file(tmp_path):
    with (
        pytest.raises(OSError, match=f"{tmp_path}/x") as caught,
        written_whole(tmp_path / "x", force=False),
    ):
        raise OSError(errno.ENOSPC, "full")
    assert caught.value.errno == errno.ENOSPC


def slowly(path):
    with written_whole(path, force=False) as slow:
        slow.write(b"slow")
        write(path, b"quick")


def test_who_comes_second_is_refused(way, tmp_path):
    if way == "no hard links":
        pytest.skip("the one way to be refused then is to look first")
    with pytest.raises(UsageError, match="exists already"):
        slowly(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"quick"
    assert names(tmp_path) == ["x"]


def test_two_at_once_each_write_their_own(way, tmp_path):
    sizes = [1 << 20, 1 << 19] * 4
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(write, tmp_path / "x", bytes([n]) * s, force=True)
                for n, s in enumerate(sizes)]  # fmt: skip
    assert [job.result() for job in jobs] == [None] * 8
    found = (tmp_path / "x").read_bytes()
    assert len(found) == sizes[found[0]]
    assert found == found[:1] * len(found)
    assert names(tmp_path) == ["x"]


KILLED = """
import errno, os, signal, sys, pathlib
from umtrace.model import whole_file
def refuse(path, flags, *rest, real=os.open, **options):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, "")
    return real(path, flags, *rest, **options)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
if sys.argv[3] == "named":
    os.open = refuse
with whole_file.written_whole(pathlib.Path(sys.argv[1]), force=True) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), int(sys.argv[2]))
    os.kill(os.getpid(), 0)  # where a handler runs
"""


@pytest.mark.parametrize(
    ("number", "how"),
    [
        *((number, "nameless") for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)),
        *((number, "named") for number in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_signals_leave_nothing(tmp_path, number, how):
    try:
        os.close(os.open(tmp_path, os.O_WRONLY | os.O_TMPFILE))
    except OSError as error:
        if how == "nameless":
            pytest.skip(f"O_TMPFILE is refused here: {error}")
    words = [sys.executable, "-c", KILLED, str(tmp_path / "x"), str(int(number)), how]
    code = subprocess.run(words, check=False).returncode
    assert code == (-number if how == "nameless" else 128 + number)
    assert names(tmp_path) == []


def test_streams_are_written_to(tmp_path, capfd):
    os.mkfifo(tmp_path / "fifo")
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit((tmp_path / "fifo").read_bytes)
        write(tmp_path / "fifo")
        assert reader.result() == b"new"
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    write(Path("/dev/null"))
    read_end, write_end = os.pipe()
    write(Path(f"/dev/fd/{write_end}"))
    os.close(write_end)
    assert os.read(read_end, 9) == b"new"
    os.close(read_end)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_dev_stdout_that_is_a_file_is_not_replaced(tmp_path):
    """The shell opened it: `-o /dev/stdout > all.csv`."""
    code = (
        "import pathlib; from umtrace.model.whole_file import written_whole\n"
        "with written_whole(pathlib.Path('/dev/stdout'), force=True) as f: f.write(b'new')"
    )
    with (tmp_path / "all").open("wb") as out:
        out.write(b"head,")
        out.flush()
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "all").read_bytes() == b"head,new"
    assert Path("/dev/stdout").is_symlink()


def test_directories_and_disks_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is a directory"):
        write(tmp_path, force=True)
    with pytest.raises(UsageError, match="no such directory; create it first"):
        write(tmp_path / "no" / "x")
    if os.geteuid() == 0:
        os.mknod(tmp_path / "disk", 0o600 | stat.S_IFBLK, os.makedev(7, 200))
        with pytest.raises(UsageError, match="block device"):
            write(tmp_path / "disk", force=True)


def test_a_page_to_standard_output(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "umtrace", "html", "recordings/first-look.umt", "-o", "-"],
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"<!DOCTYPE html>")
    assert not Path("-").exists()
