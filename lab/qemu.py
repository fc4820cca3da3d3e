"""Build the emulator's command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import compiler, stuck

if TYPE_CHECKING:
    from pathlib import Path

    from lab.emulator import Emulator
    from lab.job import Job

# A crash ends the guest at once: panic=-1 restarts, -no-reboot turns that into an exit.
# A guest that does not end is asked by SysRq what it does (lab.stuck).
PARAMETERS = (
    "console=ttyS0", "quiet", "loglevel=4", "panic=-1", "oops=panic", "sysrq_always_enabled",
)  # fmt: skip

# QEMU 7.2's emulation of AVX2 is wrong: numpy 2.4's argsort of unsigned 64-bit numbers fails in
# four of ten tries (4,000 short arrays), and with it what is joined by sorted keys. 10.0.2 has it
# right; where there is no sound emulator (lab.emulator) this still must hold.
CPU = "max,avx2=off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A raw image, found in the guest by its serial number."""

    serial: str
    path: Path
    writable: bool = False

    def options(self) -> list[str]:
        """Return the emulator's options for this disk."""
        drive = f"file={_escaped(self.path)},if=none,id={self.serial},format=raw,cache=unsafe"
        if not self.writable:
            drive += ",readonly=on"
        return [
            "-drive", drive,
            "-device", f"virtio-blk-pci,drive={self.serial},serial={self.serial}",
        ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The files and channels of one guest."""

    emulator: Emulator
    kernel: Path
    initrd: Path
    console: Path | None
    disks: tuple[Disk, ...]
    status: Path
    params: str = ""


def command_line(machine: Machine, job: Job, outputs: dict[str, str]) -> list[str]:
    """Return the whole command.

    `outputs` maps a named port of the guest to the path its bytes go to. A machine without
    console file talks to the terminal.
    """
    options = [
        "-machine", "q35", *_clock(job), "-cpu", CPU,
        "-smp", str(job.cpus), "-m", job.memory,
        "-nodefaults", "-nic", "none", "-display", "none", "-no-reboot",
        "-kernel", str(machine.kernel), "-initrd", str(machine.initrd),
        "-append", parameters(machine, job),
        *_console(machine.console),
        "-device", "virtio-serial-pci", *_compiler(machine.console),
    ]  # fmt: skip
    for name, path in {"lab.status": str(machine.status), **outputs}.items():
        options += _port(name, path)
    for disk in machine.disks:
        options += disk.options()
    return [*machine.emulator.command(), *options]


def _clock(job: Job) -> list[str]:
    """Return how time passes: as it does, or a nanosecond for every instruction."""
    if job.icount:
        # One emulating thread for all processors; an idle guest skips to its next timer.
        return ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
    return ["-accel", "tcg,thread=multi"]


def parameters(machine: Machine, job: Job) -> str:
    """Return the kernel's parameters; what the person asked for comes last and wins."""
    has_venv = any(disk.serial == "lab-venv" for disk in machine.disks)
    own = (*PARAMETERS, "lab.venv" if has_venv else "", machine.params, job.append)
    return " ".join(part for part in own if part)


def _console(path: Path | None) -> list[str]:
    if path is not None:
        return [
            "-chardev", _socket("line", path.with_name(stuck.LINE)) + f",logfile={path}",
            "-serial", "chardev:line",
            "-chardev", _socket("control", path.with_name(stuck.CONTROL)),
            "-mon", "chardev=control,mode=control",
        ]  # fmt: skip
    # Ctrl-C goes to the guest; Ctrl-A X ends the emulator.
    return [
        "-chardev", "stdio,id=tty,mux=on,signal=off",
        "-serial", "chardev:tty", "-mon", "chardev=tty",
    ]  # fmt: skip


def _compiler(console: Path | None) -> list[str]:
    """Return the port where the host compiles; a guest at the terminal has none."""
    if console is None:
        return []
    return [
        "-chardev", _socket("compiler", console.with_name(compiler.SOCKET)),
        "-device", f"virtserialport,chardev=compiler,name={compiler.PORT}",
    ]  # fmt: skip


def _socket(identity: str, path: Path) -> str:
    return f"socket,id={identity},path={path},server=on,wait=off"


def _port(name: str, path: str) -> list[str]:
    identity = name.replace(".", "-")
    return [
        "-chardev", f"file,id={identity},path={path}",
        "-device", f"virtserialport,chardev={identity},name={name}",
    ]  # fmt: skip


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
