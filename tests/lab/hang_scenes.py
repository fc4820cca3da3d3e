"""``hang_scenes SCENE…``: umounts that hang in a guest, and what `umtrace stuck` says of each.

Root, in a guest: the scenes stop kernel threads. Prints a line of JSON for each scene, with its
name, the answer, and the processes that it is about.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.holders.ring import ring_with
from tests.lab.held_umounts import until
from tests.lab.lock_chain import WAITERS, child, peers_of, wide
from umtrace.exercise import syscalls
from umtrace.present.stuck import stuck_json
from umtrace.stuck.query import StuckQuery

ROOM = Path("/tmp/hangs")
PORT = 20490
_BELOW = 200  #: mounts of a tree that has 1,000 copies: its bind takes seconds
_MOST_S = 150  #: for a scene
_FIFO = os.sched_param(50)


def stack(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stack").read_text()
    return ""


def umounter(path: Path, flags: int = 0) -> int:
    """Start a process that unmounts a path, and ends with the errno."""
    return child(lambda: os._exit(syscalls.timed_umount(os.fsencode(path), flags)[2]))


def sleeps_in(pid: int, function: str) -> None:
    if not until(lambda: function in stack(pid)):
        status = os.waitpid(pid, os.WNOHANG)
        raise RuntimeError(f"no {function} came on the stack: {stack(pid)} {status}")


def asked() -> dict[str, Any]:
    """Ask as the command does, from the process that is there: a guest starts programs slowly."""
    begun = time.monotonic()
    answer: dict[str, Any] = json.loads(stuck_json(StuckQuery().answer()))
    return {**answer, "took_s": time.monotonic() - begun}


def ended(pids: list[int]) -> bool:
    """Whether all of these children end."""
    return all(until(lambda pid=pid: os.waitpid(pid, os.WNOHANG)[0] == pid) for pid in pids)


def remedied(answer: dict[str, Any], pids: list[int]) -> list[str]:
    """Run the commands that the answer has for these tasks."""
    commands = [
        task["cause"]["command"]
        for task in answer["tasks"]
        if task["pid"] in pids and task["cause"] and task["cause"]["command"]
    ]
    for command in dict.fromkeys(commands):
        subprocess.run(["sh", "-ec", command], check=True)
    return commands


@contextmanager
def nfs() -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Mount the one directory of a server of our own."""
    point = ROOM / "nfs"
    point.mkdir()
    command = [sys.executable, "-m", "tests.lab.nfs_server", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        server.stdout.readline()
        ports = f"port={PORT},mountport={PORT},proto=tcp,mountproto=tcp,addr=127.0.0.1"
        syscalls.mount("127.0.0.1:/export", str(point), "nfs", data=f"vers=3,nolock,hard,{ports}")
        try:
            yield point, server
        finally:
            server.send_signal(signal.SIGCONT)
            syscalls.timed_umount(os.fsencode(point), syscalls.MNT_DETACH)
            server.kill()


def nfs_lookup() -> dict[str, Any]:
    """A path walk asks a server that does not answer."""
    with nfs() as (point, server):
        server.send_signal(signal.SIGSTOP)
        pid = umounter(point / "absent" / "x")
        sleeps_in(pid, "rpc_")
        answer = asked()
        ran = remedied(answer, [pid])
        if not ran:
            server.send_signal(signal.SIGCONT)
        return {"answer": answer, "pids": [pid], "ran": ran, "ended": ended([pid])}


def on_a_frozen_ext4() -> Path:
    """Mount an ext4 with data to be written, whose device is a file on an ext4 that is frozen."""
    outer, inner = ROOM / "outer", ROOM / "inner"
    for image, point in ((ROOM / "image", outer), (outer / "image", inner)):
        point.mkdir()
        with image.open("wb") as file:
            file.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, point], check=True)
    (inner / "x").write_bytes(b"x" * (5 << 20))
    subprocess.run(["fsfreeze", "-f", outer], check=True)
    return inner


def frozen() -> dict[str, Any]:
    """The device of an ext4 is a file on an ext4 that is frozen."""
    inner = on_a_frozen_ext4()
    pid = umounter(inner)
    sleeps_in(pid, "generic_shutdown_super")
    time.sleep(2)  # until the writes are at the loop device
    answer = asked()
    ran = remedied(answer, [pid])
    return {"answer": answer, "pids": [pid], "ran": ran, "ended": ended([pid])}


def grace_period() -> dict[str, Any]:
    """A real-time task takes the CPU of the thread that ends grace periods."""
    point = ROOM / "mount"
    point.mkdir()
    syscalls.mount("none", str(point), "tmpfs")
    (thread,) = (
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/comm")
        if path.read_text().strip() in {"rcu_preempt", "rcu_sched"}
    )
    Path("/proc/sys/kernel/sched_rt_runtime_us").write_text("-1")
    Path("/sys/kernel/rcu_normal").write_text("1")
    with suppress(OSError):  # since Linux 6.12 it gives each CPU some time without real-time tasks
        Path("/sys/kernel/debug/sched/fair_server/cpu1/runtime").write_text("0")
    os.sched_setaffinity(thread, {1})

    def spin() -> None:
        os.sched_setaffinity(0, {1})
        os.sched_setscheduler(0, os.SCHED_FIFO, _FIFO)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            pass

    os.sched_setaffinity(0, {0})
    hog = child(spin)
    time.sleep(2)
    pid = umounter(point)
    sleeps_in(pid, "synchronize_rcu")
    answer = asked()
    ran = remedied(answer, [pid])
    done = ended([pid])
    os.kill(hog, signal.SIGKILL)
    os.waitpid(hog, 0)
    return {"answer": answer, "pids": [pid], "hog": hog, "ran": ran, "ended": done}


def lock() -> dict[str, Any]:
    """A task binds a tree where 1,000 peers get copies of it; eight umounts wait for the lock.

    An umount of the tree holds the lock as long, but under a spin lock that each path walk of the
    host waits for: nothing can look at it meanwhile.
    """
    Path("/proc/sys/fs/mount-max").write_text("1000000")
    source, tree = peers_of(ROOM), wide(ROOM, _BELOW)
    own = [ROOM / f"own{number}" for number in range(WAITERS)]
    for folder in own:
        folder.mkdir()
        syscalls.mount("none", str(folder), "tmpfs")
    flags = syscalls.MS_BIND | syscalls.MS_REC
    holder = child(lambda: syscalls.mount(str(tree), str(source), "", flags))
    os.sched_setaffinity(holder, {1})
    os.sched_setaffinity(0, {0})
    time.sleep(0.1)
    pids = [umounter(folder) for folder in own]
    for pid in pids:
        sleeps_in(pid, "path_umount")  # stacks leave out the functions of locks
    answer = asked()
    held = not os.waitpid(holder, os.WNOHANG)[0]
    done = ended([*pids, *[holder] * held])
    return {
        "answer": answer,
        "pids": pids,
        "holder": holder,
        "held": held,
        "ran": [],
        "ended": done,
    }


def worker() -> dict[str, Any]:
    """The last reference of a lazy umount ends in the worker, which writes to a frozen ext4."""
    inner = on_a_frozen_ext4()
    (ROOM / "later").mkdir()
    syscalls.mount("none", str(ROOM / "later"), "tmpfs")
    (ROOM / "later/x").write_text("x")
    rings = [ring_with(inner / "x"), ring_with(ROOM / "later/x")]
    for point in (inner, ROOM / "later"):
        assert syscalls.timed_umount(os.fsencode(point), syscalls.MNT_DETACH)[2] == 0
    os.close(rings[0])
    if not until(workers):
        raise RuntimeError("no worker came to the shutdown")
    os.close(rings[1])
    time.sleep(2)  # until the writes are at the loop device
    (pid,) = workers()
    answer = asked()
    ran = remedied(answer, [pid])
    return {"answer": answer, "pids": [pid], "ran": ran, "ended": until(lambda: not workers())}


def workers() -> list[int]:
    """Return the tasks that shut down a file system after a lazy umount."""
    return [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if "delayed_mntput" in stack(int(path.name))
    ]


def quiet() -> dict[str, Any]:
    """Nothing hangs."""
    return {"answer": asked(), "pids": [], "ran": [], "ended": True}


SCENES: dict[str, Callable[[], dict[str, Any]]] = {
    "quiet": quiet,
    "nfs-lookup": nfs_lookup,
    "frozen": frozen,
    "grace-period": grace_period,
    "lock": lock,
    "worker": worker,
}


def too_late(*_: object) -> None:
    raise TimeoutError("the hang has not come, or has not ended")


def main() -> None:
    """Play the scenes, each in a mount namespace and a folder of its own."""
    for name in sys.argv[1:]:
        ROOM.mkdir(exist_ok=True)
        if not (pid := os.fork()):
            try:
                signal.signal(signal.SIGALRM, too_late)
                signal.alarm(_MOST_S)
                syscalls.unshare_mounts()
                syscalls.make_private()
                syscalls.mount("none", str(ROOM), "tmpfs")
                print(json.dumps({"scene": name, **SCENES[name]()}), flush=True)  # noqa: T201
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
