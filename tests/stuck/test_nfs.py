"""Which NFS server a walk waits for, where the kernel has no `shutdown` of it."""

from __future__ import annotations

from umtrace.holders.mounts import parse
from umtrace.stuck.nfs import cause

LINE = "99 1 0:4095 / /mnt rw - {} server:/export rw\n"


def of(fstype):
    return cause(next(iter(parse(LINE.format(fstype)))))


def test_the_server_of_a_mount():
    assert of("nfs4").text == "the NFS server of server:/export"
    assert of("nfs").command is None


def test_without_its_mount_no_server_is_named():
    for found in (cause(None), of("ext4")):
        assert "server:/export" not in found.text
        assert found.command is None
