"""What is found in the folder of a kernel of one's own, and what it lacks."""

from __future__ import annotations

import os
import struct

import pytest

from lab import needs, own, table, tree
from lab.errors import LabError
from tests.lab.test_formats import boot_image

RELEASE = "6.13.0-rc1-mine+"
MODULES = ("fs/ext4/ext4", "fs/overlayfs/overlay", "drivers/block/virtio_blk")
BUILT_IN = ("drivers/virtio/virtio_pci", "drivers/char/virtio_console")


def image(release=RELEASE):
    """A boot image that says its release, as the kernel's build writes it."""
    data = bytearray(boot_image(b"\x1f\x8b", appended_size=False))
    struct.pack_into("<H", data, 0x20E, len(data) - 0x200)
    return bytes(data) + f"{release} (me@here) #1 SMP\0".encode()


def write(place, data):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.fixture
def built(tmp_path):
    """What `make bzImage modules` leaves."""
    write(tmp_path / tree.BZIMAGE, image())
    write(tmp_path / tree.RELEASE, f"{RELEASE}\n")
    write(tmp_path / "modules.order", "".join(f"{name}.o\n" for name in MODULES))
    write(tmp_path / "modules.builtin", "".join(f"kernel/{name}.ko\n" for name in BUILT_IN))
    for name in MODULES:
        write(tmp_path / f"{name}.ko", b"\x7fELF")
    options = "".join(f"CONFIG_{option}=y\n" for option in table.load().own_options)
    write(tmp_path / "include/config/auto.conf", options + "CONFIG_EXT4_FS=m\n")
    return tmp_path


def refused(folder):
    """The one line that says why not."""
    with pytest.raises(LabError) as error:
        needs.check(tree.read(folder), table.load())
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "line", ["kernel/{}.ko", "{}.ko", "{}.o"], ids=["5.10", "between", "since 6.3"]
)
def test_modules_are_found_by_every_form_of_the_list(built, line):
    (built / "modules.order").write_text("".join(f"{line}\n".format(name) for name in MODULES))
    found = tree.read(built)
    assert found.release == RELEASE
    assert found.image == built / tree.BZIMAGE
    assert found.modules == {f"kernel/{name}.ko": built / f"{name}.ko" for name in MODULES}
    assert found.builtin_names == {"virtio_pci", "virtio_console"}
    needs.check(found, table.load())


def test_a_module_below_the_folder_kernel_is_no_prefix(built):
    write(built / "kernel/trace/preemptirq.ko", b"\x7fELF")
    for line in ("kernel/trace/preemptirq.o", "kernel/kernel/trace/preemptirq.ko"):
        (built / "modules.order").write_text(f"{line}\n")
        (place,) = tree.read(built).modules
        assert place == "kernel/kernel/trace/preemptirq.ko"


def test_without_the_list_modules_are_found_where_they_lie(built):
    (built / "modules.order").unlink()
    assert set(tree.read(built).modules) == {f"kernel/{name}.ko" for name in MODULES}


def test_links_and_lists_make_a_folder_as_modprobe_knows_it(built, tmp_path):
    tree.read(built).lay_out(tmp_path / "out")
    assert (tmp_path / "out/kernel/fs/ext4/ext4.ko").read_bytes() == b"\x7fELF"
    assert (tmp_path / "out/modules.order").read_text().startswith("kernel/fs/ext4/ext4.ko\n")
    assert "kernel/drivers/virtio/virtio_pci.ko\n" in (tmp_path / "out/modules.builtin").read_text()


def test_an_elf_kernel_needs_the_file_with_its_release(built):
    (built / tree.BZIMAGE).rename(built / "vmlinux")
    assert tree.read(built).image == built / "vmlinux"
    (built / tree.RELEASE).unlink()
    assert "has no include/config/kernel.release: run make there" in refused(built)


def test_a_boot_image_says_its_release_itself(built):
    (built / tree.RELEASE).unlink()
    assert tree.read(built).release == RELEASE


def test_an_image_of_another_release_is_refused(built):
    write(built / tree.RELEASE, "6.14.0\n")
    assert f"is {RELEASE}, but include/config/kernel.release says 6.14.0: run make" in refused(
        built
    )


def test_what_is_installed_below_a_folder(tmp_path):
    write(tmp_path / f"boot/vmlinuz-{RELEASE}", image())
    write(tmp_path / f"boot/config-{RELEASE}", "CONFIG_PCI=y\n")
    write(tmp_path / f"usr/lib/modules/{RELEASE}/kernel/fs/ext4/ext4.ko.zst", b"")
    found = tree.read(tmp_path)
    assert (found.release, found.module_names, found.built_here) == (RELEASE, {"ext4"}, False)
    assert found.config == {"PCI": "y"}
    write(tmp_path / "boot/vmlinuz-6.1", image())
    assert "keep one" in refused(tmp_path)


def test_a_module_that_is_not_wanted_is_asked_for_by_its_option(built):
    (built / "modules.order").write_text("fs/ext4/ext4.o\n")
    config = built / "include/config/auto.conf"
    config.write_text(config.read_text().replace("CONFIG_DEVTMPFS=y\n", ""))
    assert refused(built) == (
        f"{built} ({RELEASE}) cannot run the guest: set CONFIG_DEVTMPFS=y, CONFIG_OVERLAY_FS=y, "
        "CONFIG_VIRTIO_BLK=y (scripts/config -e DEVTMPFS -e OVERLAY_FS -e VIRTIO_BLK; "
        "make olddefconfig) and build it again"
    )


def test_a_module_that_is_wanted_but_was_not_built(built):
    (built / "fs/ext4/ext4.ko").unlink()
    assert "lacks ext4.ko, which its configuration has: run make modules" in refused(built)


def test_without_a_list_the_configuration_says_what_is_built_in(built):
    (built / "modules.builtin").unlink()
    assert "CONFIG_VIRTIO_CONSOLE=y, CONFIG_VIRTIO_PCI=y" in refused(built)
    with (built / "include/config/auto.conf").open("a") as file:
        file.write("CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n")
    needs.check(tree.read(built), table.load())


def test_without_a_configuration_only_modules_are_asked_for(built):
    (built / "include/config/auto.conf").unlink()
    needs.check(tree.read(built), table.load())


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "does not exist"), ("file", "is a file"), ("empty", "holds no kernel: neither")],
)
def test_what_is_no_tree_is_refused(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert message in refused(tmp_path / name)


def test_a_slash_makes_a_path():
    names = ["6.12", "./x", "/x", ".", "x"]
    assert [name for name in names if own.is_path(name)] == ["./x", "/x", "."]


def test_what_was_built_again_is_taken_again(built):
    known = table.load()
    before = own._state(tree.read(built), known)
    assert own._state(tree.read(built), known) == before
    os.utime(built / "fs/ext4/ext4.ko", ns=(1, 1))
    assert own._state(tree.read(built), known) != before
