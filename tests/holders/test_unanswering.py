"""`umtrace why` of mounts whose server does not answer: raw FUSE mounts, in a mount namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.holders.test_why import FREE, of, why
from umtrace.holders.lookup import look_up
from umtrace.holders.mounts import MountTable

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no /dev/fuse: modprobe fuse"),
    pytest.mark.usefixtures("alone"),
]

FUSE = """
fuse, top = os.open("/dev/fuse", os.O_RDWR), mnt
mnt = mnt.parent / "fuse"; mnt.mkdir()
options = f"fd={fuse},rootmode=40000,user_id=USER,group_id=0"
syscalls.mount("server", str(mnt), "fuse", data=options)
"""
SILENT, DEAD = FUSE.replace("USER", "0"), FUSE.replace("USER", "0") + "os.close(fuse)\n"
#: no question is answered but that for the protocol; "not implemented" lets everybody in
OTHERS = (
    FUSE.replace("USER", "1000")
    + """
import struct
def serve():
    while True:
        _, call, number = struct.unpack_from("=IIQ", os.read(fuse, 1 << 17))
        out = struct.pack("=IIII48x", 7, 31, 0, 0) if call == 26 else b""  # FUSE_INIT
        if call not in {2, 42}:  # FUSE_FORGET
            os.write(fuse, struct.pack("=IiQ", 16 + len(out), 0 if out else -38, number) + out)
threading.Thread(target=serve, daemon=True).start()
"""
)
O_PATH = """
held = begin("import os, sys; held = os.open(sys.argv[1], os.O_PATH)")
"""
CWD = """
held = begin("import os, sys; way = os.open(sys.argv[1], os.O_PATH);"
             " os.setuid(1000); os.fchdir(way); os.close(way)")
"""


@pytest.mark.parametrize("server", [SILENT, DEAD, OTHERS], ids=["silent", "dead", "others"])
def test_a_mount_point_is_asked_about_without_its_server(tmp_path, server):
    answer = why(tmp_path, server)
    assert answer["state"] in FREE, answer
    assert answer["mount"]["fstype"] == "fuse"
    held = tmp_path / "held"
    held.mkdir()
    answer = why(held, server + O_PATH)
    assert (answer["state"], of(answer)) == ("held", {("fd", "mount")})


def test_the_working_directory_in_another_user_s_mount(tmp_path):
    answer = why(tmp_path, OTHERS + CWD)
    assert (answer["state"], of(answer)) == ("held", {("cwd", "mount")})


@pytest.mark.parametrize("server", [SILENT, DEAD, OTHERS], ids=["silent", "dead", "others"])
def test_a_path_below_lies_in_the_mount_as_far_as_can_be_told(tmp_path, server):
    link = '(top / "link").symlink_to(mnt); mnt = top / "link" / "a" / "b"\n'
    answer = why(tmp_path, server + link)
    assert answer["mount"]["fstype"] == "fuse"
    assert answer["path"] == str(tmp_path / "fuse" / "a" / "b")
    assert "fuse/a is (" in str(answer["blind"])


def test_links_are_followed_as_the_kernel_does(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "abs").symlink_to(tmp_path / "d" / "e")
    (tmp_path / "rel").symlink_to("abs/../e/.")
    (tmp_path / "loop").symlink_to("loop")
    table = MountTable.of()
    for path in ("rel", "abs/..", "d//e/./", "rel/../../abs"):
        assert look_up(f"{tmp_path}/{path}", table).path == os.path.realpath(tmp_path / path)
    for path, kind in (("loop", OSError), ("no", FileNotFoundError)):
        with pytest.raises(kind) as raised:
            look_up(f"{tmp_path}/{path}", table)
        assert raised.value.filename == f"{tmp_path}/{path}"
