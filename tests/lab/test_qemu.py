"""The emulator's command line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from lab import qemu
from lab.emulator import Emulator
from lab.job import Job
from lab.qemu import Disk, Machine

ROOT = Disk(serial="lab-root", path=Path("/c/root,1.ext4"))
OUT = Disk(serial="lab-out", path=Path("/t/out.raw"), writable=True)


def machine(console=Path("/t/console"), disks=(ROOT, OUT), params=""):
    return Machine(
        emulator=Emulator(program="/q/qemu-system-x86_64", firmware=(Path("/q/share"),)),
        kernel=Path("/c/vmlinux"),
        initrd=Path("/t/initrd"),
        console=console,
        disks=disks,
        status=Path("/t/status"),
        params=params,
    )


def after(line, option):
    return [value for name, value in pairwise(line) if name == option]


def test_the_whole_line():
    line = qemu.command_line(machine(), Job(memory="1G", cpus=3), {"lab.stdout": "/dev/fd/7"})
    assert line[:3] == ["/q/qemu-system-x86_64", "-L", "/q/share"]
    assert after(line, "-m") == ["1G"]
    assert after(line, "-smp") == ["3"]
    assert after(line, "-cpu") == ["max,avx2=off"]
    assert after(line, "-kernel") == ["/c/vmlinux"]
    assert after(line, "-serial") == ["chardev:line"]
    assert after(line, "-nic") == ["none"]
    assert "-no-reboot" in line
    assert after(line, "-chardev") == [
        "socket,id=line,path=/t/line,server=on,wait=off,logfile=/t/console",
        "socket,id=control,path=/t/control,server=on,wait=off",
        "socket,id=compiler,path=/t/compiler,server=on,wait=off",
        "file,id=lab-status,path=/t/status",
        "file,id=lab-stdout,path=/dev/fd/7",
    ]
    ports = {value for value in after(line, "-device") if value.startswith("virtserialport")}
    assert "virtserialport,chardev=lab-stdout,name=lab.stdout" in ports
    assert "virtserialport,chardev=compiler,name=lab.compiler" in ports


def test_a_clock_that_counts_instructions_has_one_thread():
    line = qemu.command_line(machine(), Job(icount=True), {})
    assert after(line, "-icount") == ["shift=0,sleep=off"]
    assert after(line, "-accel") == ["tcg,thread=single"]
    assert "-icount" not in qemu.command_line(machine(), Job(), {})


def test_only_the_disk_for_results_is_written():
    drives = after(qemu.command_line(machine(), Job(), {}), "-drive")
    assert drives == [
        "file=/c/root,,1.ext4,if=none,id=lab-root,format=raw,cache=unsafe,readonly=on",
        "file=/t/out.raw,if=none,id=lab-out,format=raw,cache=unsafe",
    ]


def test_a_machine_without_console_file_talks_to_the_terminal():
    line = qemu.command_line(machine(console=None), Job(interactive=True), {})
    assert after(line, "-serial") == ["chardev:tty"]


def test_what_the_person_asks_for_comes_last():
    parameters = qemu.parameters(machine(params="table=1"), Job(append="loglevel=7 x=y"))
    assert parameters.endswith("table=1 loglevel=7 x=y")
    assert parameters.index("loglevel=4") < parameters.index("loglevel=7")


@pytest.mark.parametrize("present", [True, False])
def test_the_guest_is_told_of_the_environments_disk(present):
    disks = (ROOT, Disk(serial="lab-venv", path=Path("/c/venv"))) if present else (ROOT,)
    assert ("lab.venv" in qemu.parameters(machine(disks=disks), Job()).split()) == present
