"""Umounts that wait for the namespace lock behind one that takes a tree in 1,000 copies along.

    lock_chain.py FOLDER LEDGER

Root, in a guest: FOLDER gets a tmpfs, and all mounts lie in it. In each round one task, HOLDER,
unmounts a small tree of which there are 1,000 copies, and WAITERS others unmount one of their own
meanwhile. LEDGER gets a line of JSON: who the holder was, and the paths.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from pathlib import Path

from umtrace.exercise import syscalls

COPIES, BELOW, WAITERS, ROUNDS = 1000, 4, 8, 4
HOLDER = "lock-holder"


def peers_of(place):
    """Make COPIES peers of one mount; what is mounted in one of them is in all."""
    peers = place / "peers"
    peers.mkdir()
    syscalls.mount("none", str(peers), "tmpfs")
    syscalls.mount("none", str(peers), "", syscalls.MS_SHARED)
    (peers / "source").mkdir()
    for number in range(COPIES - 1):
        copy = place / f"copy{number}"
        copy.mkdir()
        syscalls.mount(str(peers), str(copy), "", syscalls.MS_BIND)
    return peers / "source"


def grown(source):
    """Mount the tree, in all copies."""
    syscalls.mount("none", str(source), "tmpfs")
    for number in range(BELOW):
        (source / str(number)).mkdir()
        syscalls.mount("none", str(source / str(number)), "tmpfs", data="size=4k")


def wide(place, below):
    """Make a tree of some mounts, which no other mount follows; bind it where peers do."""
    tree = place / "tree"
    tree.mkdir()
    syscalls.mount("none", str(tree), "tmpfs")
    syscalls.mount("none", str(tree), "", syscalls.MS_PRIVATE)
    for number in range(below):
        (tree / str(number)).mkdir()
        syscalls.mount("none", str(tree / str(number)), "tmpfs", data="size=4k")
    return tree


def child(work):
    """Start a process that does some work and ends."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def spin(word, value):
    while word[0] != value:
        time.sleep(0.0005)


def hold(source, word, number):
    syscalls.set_comm(HOLDER)
    word[0] = number
    syscalls.timed_umount(os.fsencode(source), syscalls.MNT_DETACH)


def wait(own, word, number):
    spin(word, number)
    syscalls.timed_umount(os.fsencode(own), 0)


def main():
    place, ledger = Path(sys.argv[1]), Path(sys.argv[2])
    place.mkdir(exist_ok=True)
    syscalls.unshare_mounts()
    syscalls.make_private()
    syscalls.mount("none", str(place), "tmpfs")
    source, word, holders = peers_of(place), mmap.mmap(-1, 4096), []
    for number in range(1, ROUNDS + 1):
        grown(source)
        own = [place / f"own{n}" for n in range(WAITERS)]
        for folder in own:
            folder.mkdir(exist_ok=True)
            syscalls.mount("none", str(folder), "tmpfs", data="size=4k")
        waiters = [child(lambda f=folder, n=number: wait(f, word, n)) for folder in own]
        holders.append(child(lambda n=number: hold(source, word, n)))
        for pid in (*waiters, holders[-1]):
            os.waitpid(pid, 0)
    truth = {"holders": holders, "source": str(source), "own": f"{place}/own"}
    ledger.write_text(json.dumps(truth))


if __name__ == "__main__":
    main()
