"""Choosing a kernel from what apt prints."""

from __future__ import annotations

import pytest

from lab import table, versions
from lab.errors import NotServedError
from lab.versions import Package

SERVED = """\
5.10.0-30-amd64             5.10.218-1          bullseye
5.10.0-32-amd64             5.10.223-1          bullseye
5.10.0-32-cloud-amd64       5.10.223-1          bullseye
5.10.0-9-amd64              5.10.70-1           bullseye
5.10.0-46-amd64             5.10.262-1          bullseye-security
6.1.0-0.deb11.52-amd64      6.1.190-1~deb11u1   bullseye-security
6.12.107+deb13-rt-amd64     6.12.107-1          trixie
6.12.117+deb13-rt-amd64     6.12.117-1          trixie-security
7.2.12+deb13-amd64          7.2.12-1~bpo13+1    trixie-backports
7.10.1+deb13-amd64          7.10.1-1~bpo13+1    trixie-backports
"""
ROWS = [row.split() for row in SERVED.splitlines()]
MADISON = "".join(
    f" linux-image-{name} | {version} | http://m.example/debian {suite}/main amd64 Packages\n"
    for name, version, suite in ROWS
)
MADISON += "linux-signed-amd64 | 7.10.1+1 | http://m.example/debian trixie-backports/main Sources\n"


@pytest.mark.parametrize(
    ("name", "package", "version"),
    [
        ("5.10", "linux-image-5.10.0-32-amd64", "5.10.223-1"),
        ("5.10-cloud", "linux-image-5.10.0-32-cloud-amd64", "5.10.223-1"),
        ("5.10-security", "linux-image-5.10.0-46-amd64", "5.10.262-1"),
        ("6.12-rt", "linux-image-6.12.117+deb13-rt-amd64", "6.12.117-1"),
        ("7", "linux-image-7.10.1+deb13-amd64", "7.10.1-1~bpo13+1"),
    ],
)
def test_the_newest_of_the_rows_suites_is_chosen(name, package, version):
    chosen = versions.choose(table.load().kernel(name), versions.parse_madison(MADISON))
    assert (chosen.name, chosen.version) == (package, version)


def test_a_kernel_the_mirror_lacks_is_named():
    with pytest.raises(
        NotServedError, match=r"6\.1-rt: .* rt-amd64 .* bookworm-security or bookworm"
    ):
        versions.choose(table.load().kernel("6.1-rt"), versions.parse_madison(MADISON))


def test_sources_are_no_packages():
    assert "linux-signed-amd64" not in {p.name for p in versions.parse_madison(MADISON)}


def test_a_row_is_read_whole():
    assert versions.parse_madison(MADISON)[0] == Package(
        name="linux-image-5.10.0-30-amd64", version="5.10.218-1", suite="bullseye"
    )


@pytest.mark.parametrize(
    ("name", "flavour"),
    [
        ("linux-image-6.1.0-56-amd64", "amd64"),
        ("linux-image-6.1.0-56-cloud-amd64", "cloud-amd64"),
        ("linux-image-6.12.117+deb13-rt-amd64", "rt-amd64"),
        ("linux-image-6.12.90+deb13.1-amd64", "amd64"),
        ("linux-image-6.12-amd64", None),
        ("linux-image-amd64", None),
        ("linux-image-6.1.0-56-amd64-unsigned", None),
        ("linux-image-6.1.0-56-amd64-dbg", None),
    ],
)
def test_only_bootable_packages_have_a_flavour(name, flavour):
    assert versions.flavour_of(name) == flavour


ORDERED = [
    "1.0~~", "1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0-2", "1.0a", "1.0+1", "1.2",
    "1.10", "6.12.95-1~bpo12+1", "6.12.95-1", "6.12.107-1", "1:0.1",
]  # fmt: skip


def test_versions_sort_as_dpkg_sorts_them():
    shuffled = sorted(ORDERED, key=len)
    assert sorted(shuffled, key=versions.VERSION_KEY) == ORDERED


def test_equal_versions_compare_equal():
    assert versions.compare("0:1.01-0", "1.1") == 0


def test_the_parts_of_a_split_kernel():
    show = (
        "Package: linux-image-7.3.4+deb13-amd64\n"
        "Depends: dracut | initramfs-tools (>= 0.120+deb8u2), kmod, linux-base,"
        " linux-base-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1),"
        " linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1),"
        " linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)\n"
    )
    assert [name for name, _ in versions.parts_of(show)] == [
        "linux-base-7.3.4+deb13-amd64",
        "linux-binary-7.3.4+deb13-amd64",
        "linux-modules-7.3.4+deb13-amd64",
    ]
    assert {version for _, version in versions.parts_of(show)} == {"7.3.4-1~bpo13+1"}


def test_a_kernel_in_one_package_has_no_more_parts():
    assert versions.parts_of("Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 1)\n") == []
