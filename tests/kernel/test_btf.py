"""BTF of a program made here, compared with what the compiler says."""

from __future__ import annotations

import pytest

from umtrace.kernel.btf import VMLINUX, Btf, BtfUnavailableError


@pytest.fixture
def btf():
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    with Btf() as opened:
        yield opened


def test_nested_and_anonymous_members(btf):
    inner = btf.offset("mount.mnt")
    assert btf.offset("mount.mnt.mnt_flags") == inner + btf.offset("vfsmount.mnt_flags")
    # A member of an anonymous union inside struct page, present on every kernel.
    assert btf.offset("page.lru") is not None


def test_a_bit_field_has_a_bit(btf):
    bits = btf.bit_offset("task_struct.in_iowait")
    assert bits // 8 == btf.offset("task_struct.in_iowait")
    assert btf.bit_offset("task_struct.pid") == 8 * btf.offset("task_struct.pid")


def test_absent_things_are_none_not_zero(btf):
    assert btf.offset("mount.no_such_member") is None
    assert btf.offset("no_such_struct.x") is None
    assert btf.first_offset("task_struct.__nope", "task_struct.pid") == btf.offset(
        "task_struct.pid"
    )


def test_functions(btf):
    assert btf.function_exists("path_umount")
    assert not btf.function_exists("path_umount_no_such")


def test_no_btf_is_said(tmp_path):
    with pytest.raises(BtfUnavailableError, match="does not exist"):
        Btf(tmp_path / "vmlinux")


def test_damaged_btf_is_said(tmp_path):
    (tmp_path / "vmlinux").write_bytes(b"\x00" * 100)
    with pytest.raises(BtfUnavailableError, match="cannot be parsed"):
        Btf(tmp_path / "vmlinux")
