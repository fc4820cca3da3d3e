"""Bound Unix sockets, which keep a mount busy though nobody has a file of it open."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.holders.test_scan import in_private_namespace
from tests.holders.test_why import why
from umtrace.holders import sockets
from umtrace.holders.sockets import Bound, bound_sockets

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def bound(tmp_path):
    """Return the inode of a socket, its path and its device."""
    with socket.socket(socket.AF_UNIX) as one:
        path = str(tmp_path / "s p")
        one.bind(path)
        dev = Path(path).stat().st_dev
        yield os.fstat(one.fileno()).st_ino, path, f"{os.major(dev)}:{os.minor(dev)}"


def test_what_a_socket_is_bound_to(bound):
    inode, path, dev = bound
    assert bound_sockets([os.getpid()], [dev])[inode] == Bound(path, dev)
    assert bound_sockets([os.getpid()], [])[inode] == Bound(path, dev)
    assert bound_sockets([os.getpid()], ["7:4095"]) == {}


def test_by_name_where_the_kernel_has_no_unix_diag(bound):
    inode, path, _dev = bound
    assert dict(sockets._from_proc(os.getpid()))[inode] == Bound(path, None)


def test_sockets_without_a_path_are_left_out():
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as unbound:
        abstract.bind("\0umtrace-test")
        inodes = {os.fstat(one.fileno()).st_ino for one in (abstract, unbound)}
        assert not inodes & set(bound_sockets([os.getpid()], []))
        assert not inodes & set(dict(sockets._from_proc(os.getpid())))


BIND = """
    def bind(name, cwd="/"):
        os.chdir(cwd); bound = socket.socket(socket.AF_UNIX); bound.bind(str(name)); os.chdir("/")
        return bound
"""


@root_only
def test_a_look_finds_the_holder_whatever_the_name(tmp_path):
    out = in_private_namespace(
        tmp_path,
        BIND
        + """
    for name, cwd in ((mnt / "s", "/"), ("relative", mnt)):
        held = bind(name, cwd); print(kinds(scan_it())); held.close()
    (mnt.parent / "link").symlink_to(mnt)
    held = bind(mnt.parent / "link" / "t"); print(kinds(scan_it()))
    held.close(); print(kinds(scan_it()))
    """,
    )
    named = "[('socket', 'mount', True)]"
    assert out == [named, named, named, "[]"]


@root_only
def test_through_which_of_two_mounts_is_told_by_the_name_or_not_known(tmp_path):
    out = in_private_namespace(
        tmp_path,
        BIND
        + """
    other = mnt.parent / "other"; other.mkdir()
    syscalls.mount(str(mnt), str(other), flags=0x1000)  # MS_BIND
    held = bind(other / "s"); print(kinds(scan_it()), kinds(scan_it(str(other)))); held.close()
    held = bind("relative", mnt); found = scan_it(); print(kinds(found), found.blind)
    """,
    )
    assert out[0] == "[] [('socket', 'mount', True)]"
    assert out[1].startswith("[] ('through which mount pid ")


@root_only
def test_a_socket_of_another_network_namespace(tmp_path):
    answer = why(
        tmp_path,
        """
        held = begin("import socket, sys; from umtrace.exercise import syscalls;"
                     " syscalls.unshare(0x40000000); s = socket.socket(socket.AF_UNIX);"
                     " s.bind(sys.argv[1] + '/s')")
        """,
    )
    assert answer["state"] == "held"
    assert [holder["kind"] for holder in answer["holders"]] == ["socket"]


@root_only
def test_why_does_not_guess_through_which_mount_it_was_bound(tmp_path):
    answer = why(
        tmp_path,
        """
        other = mnt.parent / "other"; other.mkdir()
        syscalls.mount(str(mnt), str(other), flags=0x1000)  # MS_BIND
        held = begin("import os, socket, sys; os.chdir(sys.argv[1]);"
                     " s = socket.socket(socket.AF_UNIX); s.bind('relative'); os.chdir('/')")
        """,
    )
    assert answer["state"] == "unknown"
    assert any("through which mount" in what for what in answer["blind"])
