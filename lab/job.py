"""What one run carries into its guest: the initramfs, and a tar with command and sources."""

from __future__ import annotations

import io
import os
import shlex
import tarfile
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from lab import compiler, cpio, project
from lab.members import owned_by_root

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kernel import Bootable

GUEST = resources.files("lab") / "guest"
FOLDERS = ("bin", "dev", "lower", "modules", "new", "proc", "sys", "upper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command for a guest, and the machine to run it on."""

    command: tuple[str, ...] = ()
    interactive: bool = False
    tracefs: bool = True
    timeout_seconds: float = 900
    append: str = ""
    memory: str = "2G"
    cpus: int = 2
    icount: bool = False
    compile_inside: bool = False
    carried: Path | None = None
    disk: Path | None = None

    @property
    def asks_host(self) -> bool:
        """Whether the host compiles. A guest that counts time would let it all pass meanwhile."""
        return not (self.compile_inside or self.icount)


def shell_line(command: tuple[str, ...]) -> str:
    """Return the command as the shell in the guest reads it.

    A single word is a shell command line of its own; several are an argument list.
    """
    return command[0] if len(command) == 1 else shlex.join(command)


def settings(job: Job, name: str, terminal: tuple[int, int] = (80, 24)) -> str:
    """Return the shell assignments that the guest's init reads."""
    columns, rows = terminal
    values = {
        "LAB_KERNEL": name,
        "LAB_MODE": "shell" if job.interactive else "command",
        "LAB_PROJECT": str(project.ROOT),
        "LAB_HAS_DISK": "yes" if job.disk else "no",
        "LAB_TRACEFS": "yes" if job.tracefs else "no",
        "LAB_COLUMNS": str(columns),
        "LAB_ROWS": str(rows),
        "LAB_TERM": os.environ.get("TERM", "vt220"),
    }
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())


def initramfs(kernel: Bootable, busybox: Path) -> bytes:
    """Return the archive that finds the disks and hands over to the Debian userland."""
    loaded = kernel.boot_modules()
    entries = [cpio.folder(name) for name in FOLDERS]
    entries.append(cpio.file("bin/busybox", busybox.read_bytes(), 0o755))
    entries.append(cpio.file("init", _guest("init"), 0o755))
    entries += [cpio.file(f"modules/{name}", data) for name, data in loaded]
    return cpio.pack(entries)


def write_tar(target: Path, job: Job, name: str, terminal: tuple[int, int] = (80, 24)) -> None:
    """Write what the guest unpacks over its root."""
    # GNU format: busybox reads no pax headers.
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "lab/init", _guest("stage2"), 0o755)
        _add(archive, "lab/settings", settings(job, name, terminal).encode())
        if job.command:
            _add(archive, "lab/command", (shell_line(job.command) + "\n").encode())
        if job.carried:
            archive.add(job.carried, "lab/in", filter=owned_by_root)
        for path in project.sources():
            inside = str(project.ROOT / path).lstrip("/")
            archive.add(project.ROOT / path, inside, recursive=False, filter=owned_by_root)
        if job.asks_host:
            _add_compiler(archive)


def _add_compiler(archive: tarfile.TarFile) -> None:
    """Put what asks the host in the place of umtrace's compiler, and that into /lab."""
    own = project.ROOT / compiler.MODULE
    if own.is_file():
        _add(archive, f"lab/{compiler.OWN}.py", own.read_bytes())
        _add(archive, str(own).lstrip("/"), _guest("bcc_child.py"))


def _guest(name: str) -> bytes:
    return (GUEST / name).read_bytes()


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))
