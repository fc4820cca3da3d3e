"""Boot a systemd in a pid, mount and cgroup namespace, and run a command as a unit of it.

``python -m tests.lab.engines.under_systemd COMMAND…`` ends when the unit has ended, with its
status. It is what systemd-nspawn does, without what that forbids: programs in the kernel.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

PATIENCE_S = 1500
UNITS = Path("/run/systemd/system")
STATUS = Path("/run/engines.status")
CGROUP = Path("/sys/fs/cgroup/systemd-of-the-engines")
#: mounts and devices of a whole system, which this one has already
MASKED = (
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
    "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-modules-load.service",
    "systemd-remount-fs.service", "systemd-sysctl.service", "tmp.mount",
    "systemd-random-seed.service", "systemd-firstboot.service", "modprobe@.service",
)  # fmt: skip
TARGET = """[Unit]
Requires=basic.target dbus.socket engines.service
After=basic.target dbus.socket
AllowIsolate=yes
"""
SERVICE = """[Unit]
Requires=basic.target dbus.socket
After=basic.target dbus.socket
[Service]
Type=oneshot
WorkingDirectory={folder}
Environment=PATH={path} HOME=/root LANG=C.UTF-8
TimeoutStartSec=infinity
Delegate=yes
ExecStart=/bin/sh -c {command}
ExecStopPost=/bin/sh -c "systemctl --force --force poweroff"
"""
INSIDE = (
    "mount --make-rshared / && umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    " && exec env container=engines /lib/systemd/systemd --system --unit=engines.target"
    " --log-target=null --show-status=false"
)


def write_units(command, output):
    """Write the target to boot and the service that runs the command."""
    UNITS.mkdir(parents=True, exist_ok=True)
    for unit in MASKED:
        if not (UNITS / unit).is_symlink():
            (UNITS / unit).symlink_to("/dev/null")
    line = f"{shlex.join(command)} > {output} 2>&1; echo $? > {STATUS}"
    quoted = '"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'
    folder, path = Path.cwd(), os.environ["PATH"]
    service = SERVICE.format(folder=folder, path=path, command=quoted.replace("%", "%%"))
    (UNITS / "engines.service").write_text(service)
    (UNITS / "engines.target").write_text(TARGET)


def boot():
    """Run the systemd to its end."""
    CGROUP.mkdir(exist_ok=True)
    move = f"echo 0 > {CGROUP}/cgroup.procs"
    enter = f"exec unshare -C -m -p -f --mount-proc sh -c {shlex.quote(INSIDE)}"
    command = ["sh", "-c", f"{move} && {enter}"]
    return subprocess.run(command, check=False, timeout=PATIENCE_S).returncode


def main(command):
    """Run the command, print what it printed, and return its status."""
    output = Path("/run/engines.output")
    STATUS.unlink(missing_ok=True)
    write_units(command, output)
    ended = boot()
    sys.stdout.write(output.read_text() if output.exists() else "the unit was not started\n")
    return int(STATUS.read_text()) if STATUS.exists() else ended or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
