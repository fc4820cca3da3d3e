"""What is in flight in a Unix socket is looked at where it lies; its owner still receives it."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from umtrace.holders.claims import Claim
from umtrace.holders.inflight import _mount_ids, unpacked

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.usefixtures("alone"),
]

TABLE = Path("/proc/self/mountinfo")


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def file(tmp_path):
    fd = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def found(receiver, number, *listed):
    """Return the mount id and path of each claim; None for the socket's own, which stays."""
    name = str(Path(f"/proc/self/fd/{receiver.fileno()}").readlink())
    whole = Claim(kind="in-flight", pid=os.getpid(), fd=receiver.fileno(), detail=name)
    ids = set().union(*map(_mount_ids, listed)) if listed else set()
    claims = unpacked(whole, number, lambda mnt_id: mnt_id in ids)
    return [None if claim == whole else (claim.mnt_id, claim.path) for claim in claims]


def test_a_file_is_placed_and_what_is_no_file_of_a_mount_is_left_out(pair, file, tmp_path):
    sender, receiver = pair
    reads, writes = os.pipe()
    memory = os.memfd_create("x")
    socket.send_fds(sender, [b"x" * 100], [file, reads, writes, memory, file])
    ((mnt_id, path),) = found(receiver, 5, file)
    assert ({mnt_id}, path) == (_mount_ids(file), str(tmp_path / "x"))
    for fd in (reads, writes, memory):
        os.close(fd)
    data, fds, _flags, _ = socket.recv_fds(receiver, 200, 10)
    assert (data, len(fds)) == (b"x" * 100, 5)
    assert os.path.samestat(os.fstat(fds[0]), os.fstat(file))
    for fd in fds:
        os.close(fd)


def test_a_mount_that_no_table_lists_stays_a_suspect(pair, file):
    socket.send_fds(pair[0], [b"x"], [file])
    assert found(pair[1], 1) == [None]


def test_what_lies_behind_the_first_stays_a_suspect(pair, file):
    for _ in range(2):
        socket.send_fds(pair[0], [b"x"], [file])
    assert found(pair[1], 2, file)[0] is None


@pytest.mark.parametrize("what", ["socket", "table"])
def test_what_may_keep_other_files_stays_a_suspect(pair, what):
    with closing(socket.socket(socket.AF_UNIX)) as one, TABLE.open() as table:
        fd = one.fileno() if what == "socket" else table.fileno()
        socket.send_fds(pair[0], [b"x"], [fd])
        assert found(pair[1], 1, fd) == [None]


def test_whose_owner_peeks_itself_is_left_alone(pair, file):
    socket.send_fds(pair[0], [b"x"], [file])
    pair[1].setsockopt(socket.SOL_SOCKET, 42, 0)  # SO_PEEK_OFF
    assert found(pair[1], 1, file) == [None]


def test_another_socket_by_that_number_is_not_looked_into(pair, file):
    socket.send_fds(pair[0], [b"x"], [file])
    whole = Claim(kind="in-flight", pid=os.getpid(), fd=pair[1].fileno(), detail="socket:[1]")
    assert list(unpacked(whole, 1, lambda _: True)) == [whole]
