"""Swap files, of which the kernel says the path alone."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.holders import spaces

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        not os.path.exists("/dev/loop-control") or not shutil.which("mkfs.ext4"),  # noqa: PTH110
        reason="needs loop devices and mkfs.ext4",
    ),
]
SWAP = """
def run(*command): return subprocess.run(command, check=True, capture_output=True, text=True).stdout
os.environ["PATH"] += ":/usr/sbin:/sbin"
image = room / "image"
with image.open("wb") as file: file.truncate(32 << 20)
run("mkfs.ext4", "-q", "-F", str(image)); point = room / "m"; point.mkdir()
make = (f"mount -o loop {image} {point} && head -c 1M /dev/zero > {point}/swap &&"
        f" chmod 600 {point}/swap && mkswap {point}/swap && swapon {point}/swap")
"""


def test_a_swap_file_of_the_same_path_in_another_namespace_is_not_on_our_mount(tmp_path):
    script = """
mount(point, "ours")
child = elsewhere(f"import subprocess; subprocess.run({make!r}, shell=True, check=True, stdout=2)")
try:
    out.append([[h.kind, h.of] for h in ask(point).holders if h.kind == "swap"])
    out.append(umount(point))
finally:
    run("nsenter", "-t", str(child.pid), "-m", "swapoff", str(point / "swap")); ended(child)
"""
    swaps, said = spaces.run(tmp_path, SWAP + script)
    assert (swaps, said) == ([], 0)


def test_a_swap_file_on_our_mount_holds_it(tmp_path):
    script = """
subprocess.run(make, shell=True, check=True, stdout=2)
try: out.append([[h.kind, h.of] for h in ask(point).holders if h.kind == "swap"])
finally: run("swapoff", str(point / "swap"))
out.append(umount(point))
"""
    swaps, said = spaces.run(tmp_path, SWAP + script)
    assert (swaps, said) == ([["swap", "mount"]], 0)
