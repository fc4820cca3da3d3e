"""Umounts of mounts that are held, umounts at once, and umounts that wait for a lock that is held.

    facts_workload.py FOLDER LEDGER [CASE...]

Root, in a guest: FOLDER gets a tmpfs, and all mounts lie in it. LEDGER gets a line of JSON for each
case, with what a recording must say.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from umtrace.exercise import syscalls

MNT_DETACH = 2
TREE = 1000
LONG = 3000
SPACES = 12
TOGETHER, ROUNDS = 6, 8
COPIES = 250
HOLD_S = 3
MS_SHARED = 1 << 20


def mounted(folder, data="size=4k"):
    folder.mkdir(exist_ok=True)
    syscalls.mount("none", str(folder), "tmpfs", data=data)
    return folder


def detach(folder, flags=MNT_DETACH):
    return syscalls.timed_umount(os.fsencode(folder), flags)


def tree(folder, n):
    """Mount one, with n - 1 below it."""
    top = folder
    top.mkdir()
    syscalls.mount("none", str(top), "tmpfs")
    return top, [mounted(top / str(number)) for number in range(n - 1)]


def held_tree(place, name, n, k):
    """Unmount a tree of n of which k are held by files; return what its row must have."""
    top, below = tree(place / name, n)
    files = [os.open(folder, os.O_RDONLY) for folder in below[:k]]
    detach(top)
    for file in files:
        os.close(file)
    return {"path": str(top), "n_mounts": n, "n_held": k, "n_mntns": 1}


def alone(place):
    folder = mounted(place / "alone")
    detach(folder, 0)
    return {"path": str(folder), "n_mounts": 1, "n_held": 0, "n_mntns": 1}


def by_a_cwd(place):
    folder = mounted(place / "cwd")
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    detach(folder)
    os.write(go[1], b"x")
    os.waitpid(child, 0)
    return {"path": str(folder), "n_mounts": 1, "n_held": 1, "n_mntns": 1}


def busy(place):
    folder = mounted(place / "busy")
    file = os.open(folder, os.O_RDONLY)
    detach(folder, 0)
    os.close(file)
    syscalls.timed_umount(os.fsencode(f"{folder}/"), MNT_DETACH)
    return {"path": str(folder), "n_mounts": 0, "n_held": 0, "n_mntns": 0, "errno": 16}


def namespace(place):
    """End a mount namespace of which another task holds two mounts."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(ready[0])
        os.close(go[1])
        syscalls.unshare_mounts()
        syscalls.make_private()
        mounted(place / "ns1")
        mounted(place / "ns2")
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    root = Path(f"/proc/{child}/root")
    files = [os.open(f"{root}{place}/ns{n}", os.O_RDONLY) for n in (1, 2)]
    os.write(go[1], b"x")
    os.waitpid(child, 0)
    for file in files:
        os.close(file)
    return {"tid": child, "origin": "ns-exit", "n_held": 2, "n_mntns": 1}


def descriptor(place):
    """Close the descriptor of a tree that is mounted nowhere."""
    folder = mounted(place / "descriptor")
    child = os.fork()
    if not child:
        os.close(syscalls.open_tree_clone(str(folder)))
        os._exit(0)
    os.waitpid(child, 0)
    detach(folder, 0)
    return {"tid": child, "origin": "fd-close", "n_mounts": 1, "n_held": 0, "n_mntns": 1}


def long_tree(place):
    """Unmount a tree that is longer than a program follows step by step."""
    top, _below = tree(place / "long", 1)
    (top / "source").mkdir()
    for number in range(LONG - 1):
        folder = top / str(number)
        folder.mkdir()
        syscalls.mount(str(top / "source"), str(folder), "", syscalls.MS_BIND)
    detach(top)
    return {"path": str(top), "n_mounts": LONG, "n_mntns": 1, "mntns_top": None}


def spread(place):
    """Unmount what was propagated to namespaces, to one of them four times and to one twice."""
    shared = mounted(place / "spread", "size=64k")
    syscalls.mount("none", str(shared), "", MS_SHARED)
    (shared / "x").mkdir()
    for number in range(3):
        (place / f"again{number}").mkdir()
    go, spaces = os.pipe(), []
    for number in range(SPACES):
        ready = os.pipe()
        child = os.fork()
        if not child:
            syscalls.unshare_mounts()
            for again in range({3: 3, 5: 1}.get(number, 0)):
                syscalls.mount(str(shared), str(place / f"again{again}"), "", syscalls.MS_BIND)
            os.write(ready[1], b"x")
            os.close(go[1])
            os.read(go[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        spaces.append((child, Path(f"/proc/{child}/ns/mnt").stat().st_ino))
    syscalls.mount("none", str(shared / "x"), "tmpfs")
    detach(shared / "x", 0)
    os.close(go[1])
    for child, _inum in spaces:
        os.waitpid(child, 0)
    largest = f"{spaces[3][1]}:4 {spaces[5][1]}:2 "
    return {
        "path": str(shared / "x"), "n_mounts": SPACES + 5, "n_mntns": SPACES + 1, "n_held": 0,
        "largest": largest,
    }  # fmt: skip


def together(place):
    """Unmount by several threads at once, round by round."""
    barrier = threading.Barrier(TOGETHER)

    def work(number):
        for each in range(ROUNDS):
            folder = mounted(place / f"together{number}.{each}")
            barrier.wait()
            detach(folder, 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"folder": str(place / "together")}


def behind_a_holder(place):
    """Unmount while another task holds the lock, as it mounts and unmounts with many copies."""
    peers = place / "peers"
    peers.mkdir()
    syscalls.mount("none", str(peers), "tmpfs")
    syscalls.mount("none", str(peers), "", MS_SHARED)
    (peers / "source").mkdir()
    for number in range(COPIES):
        copy = place / f"copy{number}"
        copy.mkdir()
        syscalls.mount(str(peers), str(copy), "", syscalls.MS_BIND)
    child = os.fork()
    if not child:
        syscalls.set_comm("lock-holder")
        end = time.monotonic() + HOLD_S + 1
        while time.monotonic() < end:
            syscalls.mount("none", str(peers / "source"), "tmpfs")
            syscalls.timed_umount(os.fsencode(peers / "source"), MNT_DETACH)
        os._exit(0)
    end = time.monotonic() + HOLD_S
    number = 0
    while time.monotonic() < end:
        folder = mounted(place / f"behind{number % 50}")
        detach(folder, 0)
        number += 1
    os.waitpid(child, 0)
    return {"folder": str(place / "behind"), "holder": child, "comm": "lock-holder"}


CASES = {
    "alone": alone,
    "by-a-cwd": by_a_cwd,
    "busy": busy,
    "namespace": namespace,
    "descriptor": descriptor,
    "none-of-7": lambda place: held_tree(place, "none", 7, 0),
    "3-of-7": lambda place: held_tree(place, "three", 7, 3),
    "10-of-1000": lambda place: held_tree(place, "many", TREE, 10),
    "long": long_tree,
    "spread": spread,
    "together": together,
    "behind-a-holder": behind_a_holder,
}


def main():
    place, ledger = Path(sys.argv[1]), Path(sys.argv[2])
    place.mkdir(exist_ok=True)
    syscalls.unshare_mounts()
    syscalls.make_private()
    syscalls.mount("none", str(place), "tmpfs")
    with ledger.open("w") as file:
        for name in sys.argv[3:] or CASES:
            case = CASES[name]
            file.write(json.dumps({"case": name} | case(place)) + "\n")


if __name__ == "__main__":
    main()
