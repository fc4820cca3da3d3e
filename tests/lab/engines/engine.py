"""Container engines: how each makes a container and removes it, and what belongs to which."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.engines import rootfs

IMAGE = "localhost/asleep:latest"
PATIENCE_S = 300
DOCKER_RUN = ("/run/containerd", "/run/docker/containerd/daemon")
#: no network; and no more open files than a guest in a container may have
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
FREE = "--pids-limit=-1"  # needs no controller of cgroups
ALONE = ("--network", "none", *LIMITS)


def run(*command, check=True):
    """Run a command to its end and return what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    if check and done.returncode:
        raise AssertionError(f"{command}: {done.returncode}: {done.stdout}{done.stderr}"[-2000:])
    return done.stdout.strip()


def run_detached(*command):
    """Run a command that leaves its standard output to a container; return its pid."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen([str(w) for w in command], stdin=nothing, stdout=nothing)
    if process.wait(PATIENCE_S):
        raise AssertionError(f"{command}: {process.returncode}")
    return process.pid


def wait_for(seen, what):
    """Wait until `seen()` is true, and return what it is."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in {PATIENCE_S} s")
        time.sleep(0.1)
    return found


@dataclass
class Container:
    """What an engine says of one of its containers."""

    identity: str  #: as umtrace should name it
    name: str
    pid: int
    mntns: int = 0
    paths: list[str] = field(default_factory=list)  #: what is below belongs to it
    makers: list[int] = field(default_factory=list)  #: processes that made this one only

    def look(self):
        """Read which mount namespace it has, while it lives."""
        if self.pid:
            self.mntns = Path(f"/proc/{self.pid}/ns/mnt").stat().st_ino
        return self


class Engine:
    """One way to run containers; `begin` before the recording, `make` and `remove` in it."""

    def __init__(self, work, *options):
        self.work = work
        self.options = options
        self.daemons = []
        self.root = rootfs.make_rootfs(work / "rootfs")
        self.bind = work / "bind"
        self.bind.mkdir(exist_ok=True)

    def begin(self):
        """Start daemons, load images."""

    def end(self):
        """Stop what `begin` has started."""
        for daemon in reversed(self.daemons):
            daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
            daemon.kill()

    def start(self, *command):
        """Start a daemon; its output goes to a file beside the root file system."""
        log = (self.work / f"{Path(command[0]).name}.log").open("w")
        daemon = subprocess.Popen([str(w) for w in command], stdout=log, stderr=log)
        self.daemons.append(daemon)

    def image(self):
        """Return an archive of the image."""
        return rootfs.make_image(rootfs.make_layer(self.root, self.work), self.work, IMAGE)


class Podman(Engine):
    """podman; options: its OCI runtime and its cgroup manager."""

    @property
    def command(self):
        runtime, manager = self.options
        return ("podman", "--runtime", runtime, "--cgroup-manager", manager)

    def begin(self):
        run(*self.command, "load", "-i", self.image())
        # What only the first container of a host needs, is done now.
        run(*self.command, "run", "--rm", *ALONE, FREE, IMAGE, "/bin/true")

    def make(self, name):
        mounts = ("-v", f"{self.bind}:/b", "-v", f"{name}-volume:/v", "--tmpfs", "/t")
        run(*self.command, "run", "-d", *ALONE, FREE, "--name", name, *mounts, IMAGE)
        (told,) = json.loads(run(*self.command, "inspect", name))
        paths = [told["GraphDriver"]["Data"]["MergedDir"], told["StaticDir"]]
        paths.append(f"/run/containers/storage/overlay-containers/{told['Id']}")
        paths.append(f"/run/{self.options[0]}/{told['Id']}")
        return Container(told["Id"], name, told["State"]["Pid"], paths=paths)

    def remove(self, name):
        run(*self.command, "rm", "-f", "-t", "0", name)
        run(*self.command, "volume", "rm", f"{name}-volume")


class Docker(Engine):
    """dockerd with its own containerd; the option is the cgroup driver."""

    def begin(self):
        self.start(
            "dockerd", "--iptables=false", "--bridge=none", "--storage-driver=overlay2",
            f"--exec-opt=native.cgroupdriver={self.options[0]}",
        )  # fmt: skip
        wait_for(lambda: run("docker", "version", check=False).count("Version") > 2, "dockerd")
        run("docker", "load", "-i", self.image())
        run("docker", "run", "--rm", *ALONE, IMAGE, "/bin/true")

    def make(self, name):
        mounts = ("-v", f"{self.bind}:/b", "-v", f"{name}-volume:/v", "--tmpfs", "/t")
        run("docker", "run", "-d", *ALONE, "--name", name, *mounts, IMAGE)
        (told,) = json.loads(run("docker", "inspect", name))
        merged = Path(told["GraphDriver"]["Data"]["MergedDir"])
        paths = [str(merged.parent), f"{merged.parent}-init"]
        paths.append(f"/var/lib/docker/containers/{told['Id']}")
        paths.append(told["NetworkSettings"]["SandboxKey"])
        tasks = "io.containerd.runtime.v2.task/moby"
        paths += [f"{state}/{tasks}/{told['Id']}" for state in DOCKER_RUN]
        paths.append(f"/run/docker/runtime-runc/moby/{told['Id']}")
        return Container(told["Id"], name, told["State"]["Pid"], paths=[p for p in paths if p])

    def remove(self, name):
        run("docker", "rm", "-f", "-v", name)
        run("docker", "volume", "rm", f"{name}-volume")


class Containerd(Engine):
    """containerd and ctr."""

    def begin(self):
        self.start("containerd")
        wait_for(lambda: run("ctr", "version", check=False).count("Version") > 1, "containerd")
        run("ctr", "image", "import", self.image())
        run("ctr", "run", "--rm", IMAGE, "first", "/bin/true")

    def make(self, name):
        mounts = ("--mount", f"type=bind,src={self.bind},dst=/b,options=rbind:rw")
        mounts += ("--mount", "type=tmpfs,dst=/t,options=nosuid")
        run("ctr", "run", "-d", *mounts, IMAGE, name)
        listed = (line.split() for line in run("ctr", "task", "ls").splitlines())
        pid = next(int(words[1]) for words in listed if words[0] == name)
        task = f"/run/containerd/io.containerd.runtime.v2.task/default/{name}"
        return Container(name, name, pid, paths=[task, f"/run/containerd/runc/default/{name}"])

    def remove(self, name):
        run("ctr", "task", "rm", "-f", name)
        run("ctr", "container", "rm", name)


class Oci(Engine):
    """An OCI runtime alone: crun or runc."""

    def make(self, name):
        bundle = rootfs.write_bundle(self.work / "bundles", self.root, name, self.bind)
        (runtime,) = self.options
        file = self.work / f"{name}.pid"
        maker = run_detached(runtime, "run", "-d", "-b", bundle, "--pid-file", file, name)
        paths = [str(bundle), f"/run/{runtime}/{name}"]
        return Container(name, name, int(file.read_text()), paths=paths, makers=[maker])

    def remove(self, name):
        run(self.options[0], "delete", "-f", name)


class Lxc(Engine):
    """LXC, with a configuration of our own."""

    def make(self, name):
        home = Path("/var/lib/lxc", name)
        home.mkdir(parents=True)
        shutil.copytree(self.root, home / "rootfs", symlinks=True)
        lines = [
            f"lxc.uts.name = {name}",
            f"lxc.rootfs.path = dir:{home}/rootfs",
            "lxc.net.0.type = empty",
            "lxc.mount.auto = proc:mixed sys:ro",
            f"lxc.mount.entry = {self.bind} b none bind 0 0",
            "lxc.mount.entry = tmpfs t tmpfs rw 0 0",
            "lxc.init.cmd = /bin/sleep 1000",
            "lxc.apparmor.profile = unconfined",
        ]
        (home / "config").write_text("".join(f"{line}\n" for line in lines))
        maker = run_detached("lxc-start", "-n", name)
        run("lxc-wait", "-n", name, "-s", "RUNNING", "-t", "60")
        pid = int(run("lxc-info", "-n", name, "-pH"))
        return Container(name, name, pid, paths=[str(home)], makers=[maker])

    def remove(self, name):
        run("lxc-stop", "-n", name, "-k")
        shutil.rmtree(Path("/var/lib/lxc", name))


class Foreground(Engine):
    """What runs a container as long as the command runs."""

    def __init__(self, work, *options):
        super().__init__(work, *options)
        self._running = {}

    def make(self, name):
        self._running[name] = subprocess.Popen(
            [str(word) for word in self.command(name)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        pid = wait_for(lambda: self._sleeper(name), name)
        makers = [self._running[name].pid]
        return Container(self.identity(name), name, pid, paths=self.paths(name), makers=makers)

    def _sleeper(self, name):
        below = [self._running[name].pid]
        if self._running[name].poll() is not None:
            raise AssertionError(self._running[name].stderr.read())
        while below:
            pid = below.pop()
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                    return pid
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                below += map(int, children.split())
        return 0

    def remove(self, name):
        with suppress(ProcessLookupError):
            os.kill(self._sleeper(name), signal.SIGKILL)
        self._running.pop(name).wait(60)


class Nspawn(Foreground):
    """systemd-nspawn without a systemd around it."""

    def begin(self):
        run("systemd-machine-id-setup")

    def command(self, name):
        return (
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe",
            "-D", self._machine(name), "-M", name, f"--bind={self.bind}:/b", "--tmpfs=/t",
            "/bin/sleep", "1000",
        )  # fmt: skip

    def _machine(self, name):
        folder = Path("/var/lib/machines", name)
        if not folder.exists():
            shutil.copytree(self.root, folder, symlinks=True)
        return folder

    def identity(self, name):
        return name

    def paths(self, name):
        return [f"/var/lib/machines/{name}"]


class Bubblewrap(Foreground):
    """bwrap: a container that has no name."""

    def command(self, name):
        return (
            "bwrap", "--bind", self.root, "/", "--bind", self.bind, "/b", "--tmpfs", "/t",
            "--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--hostname", name,
            "--unshare-uts", "/bin/sleep", "1000",
        )  # fmt: skip

    def identity(self, name):
        return ""

    def paths(self, name):
        return []


class Unit(Engine):
    """A service of systemd with mounts of its own."""

    def make(self, name):
        mounts = ("-p", f"BindPaths={self.bind}:/mnt", "-p", "TemporaryFileSystem=/media")
        run("systemd-run", f"--unit={name}", "-p", "PrivateTmp=yes", *mounts, "sleep", "1000")
        pid = int(run("systemctl", "show", "-p", "MainPID", "--value", name))
        wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", name)
        return Container(f"{name}.service", name, pid)

    def remove(self, name):
        run("systemctl", "stop", name)


ENGINES = {
    "podman-crun": (Podman, "crun", "cgroupfs"),
    "podman-runc": (Podman, "runc", "cgroupfs"),
    "podman-crun-systemd": (Podman, "crun", "systemd"),
    "podman-runc-systemd": (Podman, "runc", "systemd"),
    "docker": (Docker, "cgroupfs"),
    "docker-systemd": (Docker, "systemd"),
    "ctr": (Containerd,),
    "crun": (Oci, "crun"),
    "runc": (Oci, "runc"),
    "lxc": (Lxc,),
    "nspawn": (Nspawn,),
    "unit-systemd": (Unit,),
    "bwrap": (Bubblewrap,),
}
