"""The table of kernels."""

from __future__ import annotations

import pytest

from lab import table
from lab.errors import LabError, UnknownKernelError

WANTED = {
    "5.10", "5.10-cloud", "5.10-security", "6.1", "6.1-cloud", "6.1-rt",
    "6.12", "6.12-cloud", "6.12-rt", "6.18", "7", "7-cloud", "7-rt",
}  # fmt: skip


def test_the_supported_kernels_are_there():
    assert set(table.load().kernels) == WANTED


@pytest.mark.parametrize("kernel", table.load().kernels.values(), ids=lambda kernel: kernel.name)
def test_a_row_says_the_same_in_name_series_and_flavour(kernel):
    assert kernel.series.endswith(".")
    assert kernel.name.startswith(kernel.series[:-1])
    assert kernel.flavour in {"amd64", "cloud-amd64", "rt-amd64"}
    for word in ("cloud", "rt"):
        assert (f"-{word}" in kernel.name) == kernel.flavour.startswith(word)
    assert kernel.suites
    assert kernel.note


def test_no_version_and_no_address_is_written_down():
    text = table.TABLE.read_text(encoding="utf-8")
    assert "://" not in text
    assert "linux-image-" not in text


def test_an_extra_adds_to_the_userland():
    known = table.load()
    assert known.userland(None) == known.packages
    assert set(known.userland("engines")) > {*known.packages, "podman", "containerd"}


def test_an_extra_that_is_not_there_is_refused():
    with pytest.raises(LabError, match="no extra named 'engine'; there are: engines"):
        table.load().userland("engine")


def test_every_suite_has_a_keyring():
    known = table.load()
    assert all(known.keyrings_of(suite) for suite in known.suites)
    assert set(known.keyrings) - {"default"} <= set(known.suites)


def test_the_guest_can_find_its_root():
    known = table.load()
    assert {"virtio_pci", "virtio_blk", "ext4", "overlay"} <= set(known.boot_modules)
    assert "python3-bpfcc" in known.packages


def test_an_unknown_kernel_is_answered_with_the_known_ones():
    with pytest.raises(UnknownKernelError, match=r"'4\.19'.*6\.12-rt"):
        table.load().kernel("4.19")
