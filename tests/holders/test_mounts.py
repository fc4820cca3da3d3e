from __future__ import annotations

import pytest

from umtrace.holders.mounts import MountTable, layers, parse

TEXT = r"""
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:30 / /mnt rw shared:5 - tmpfs none rw
31 30 0:31 / /mnt/a\040b rw shared:6 master:5 propagate_from:2 - tmpfs no\134ne rw
32 22 0:32 / /over rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/u\054x,workdir=/w,index=off
33 22 0:33 / /over rw - tmpfs none rw
nonsense
34 22 0:34
""".strip()


@pytest.fixture
def table():
    return MountTable(parse(TEXT))


def test_lines_become_mounts(table):
    mount = table.at("/mnt/a b")
    assert (mount.mnt_id, mount.parent, mount.dev, mount.source) == (31, 30, "0:31", "no\\ne")
    assert (mount.peers, mount.master) == (6, 5)
    assert len(table.mounts) == 5


def test_the_topmost_mount_counts(table):
    assert table.at("/over").mnt_id == 33
    assert table.holding("/mnt/a b/c/d").mnt_id == 31
    assert table.holding("/mnt/a").mnt_id == 30
    assert table.holding("/elsewhere").mnt_id == 22
    assert table.at("/mnt/a") is None


STACKED = """
22 1 254:0 / / rw - ext4 /dev/vda rw
40 41 0:40 / /t rw - tmpfs TOP rw
41 22 0:41 / /t rw - tmpfs BELOW rw
50 22 0:50 / /a/b rw - tmpfs HIDDEN rw
51 22 0:51 / /a rw - tmpfs OVER rw
60 22 0:60 / / rw - tmpfs OVER-ROOT rw
61 60 0:61 / /t rw - tmpfs UNREACHED rw
"""


def test_parents_tell_what_lies_on_top():
    table = MountTable(parse(STACKED))
    assert table.at("/t").source == "TOP"
    assert table.holding("/t/x").source == "TOP"
    assert table.at("/a/b") is None
    assert table.holding("/a/b/c").source == "OVER"
    assert table.at("/").mnt_id == 22
    assert table.holding("t") is None


def test_a_root_that_is_no_mount_of_its_own():
    text = "40 39 0:40 / /dev rw - tmpfs dev rw\n41 40 0:41 / /dev/shm rw - tmpfs shm rw\n"
    table = MountTable(parse(text))
    assert (table.at("/dev/shm").mnt_id, table.holding("/dev/x").mnt_id) == (41, 40)
    assert (table.at("/"), table.holding("/etc")) == (None, None)


def test_families(table):
    assert [m.mnt_id for m in table.children(table.at("/mnt"))] == [31]
    assert table.parent(table.at("/mnt")).mnt_id == 22


def test_overlay_layers(table):
    expected = [("lower", "/l1"), ("lower", "/l2"), ("upper", "/u,x"), ("work", "/w")]
    assert layers(table.mounts[32]) == expected
    assert layers(table.mounts[33]) == []


def test_our_own_table_has_a_root():
    assert MountTable.of().at("/") is not None


def test_overlay_layers_with_colons_and_commas():
    """As Linux 6.18 shows a list with a backslash before each, and a single layer without."""
    (mount,) = parse(
        "117 114 0:46 / /o rw - overlay o rw,lowerdir=/m/a\\134:b\\134\\054c:/m/d::/m/e,"
        "lowerdir+=/m/f:g,upperdir=/m/u:v,workdir=/m/w\n"
    )
    assert layers(mount) == [
        ("lower", "/m/a:b,c"),
        ("lower", "/m/d"),
        ("lower", "/m/e"),
        ("lower", "/m/f:g"),
        ("upper", "/m/u:v"),
        ("work", "/m/w"),
    ]
