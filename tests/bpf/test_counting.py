"""What bpf/unmounted.h and bpf/spread.h count, compiled for this machine, against a plain count."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from umtrace.sources.bpf.text import bpf_directory

SOURCE = Path(__file__).with_name("counting.c")
OFFSETS = ("-DUM_OFF_MOUNT_LIST=0", "-DUM_OFF_MOUNT_NS=16", "-DUM_OFF_MNT_NS_INUM=0")
#: by how long loops are made: the most mounts, the most in a tree and the most namespaces
LIMITS = {"": (6144, 256, 63), "-DUM_BPF_LOOP=1": (20_000, 20_000, 4000)}


@pytest.fixture(scope="module", params=LIMITS, ids=["in-steps", "bpf-loop"])
def counted(request, tmp_path_factory):
    """Return a function that counts umounts, each a list of trees of namespaces, and its limits."""
    compiler = shutil.which("cc") or shutil.which("clang")
    assert compiler, "a C compiler is needed: apt-get install gcc"
    program, folder = tmp_path_factory.mktemp("counting") / "counting", bpf_directory()
    flags = ["-O1", "-w", "-xc", "-std=gnu11", "-DUM_KPROBE", *OFFSETS]
    flags += [request.param] if request.param else []
    headers = [f"-I{folder}/headers/include", f"-I{folder}"]
    subprocess.run([compiler, *flags, *headers, SOURCE, "-o", program], check=True)

    def count(umounts):
        lines = "".join(" / ".join(" ".join(map(str, t)) for t in u) + "\n" for u in umounts)
        done = subprocess.run([program], input=lines, text=True, check=True, capture_output=True)
        return [line.split() for line in done.stdout.splitlines()]

    return count, LIMITS[request.param]


def expected(trees, most):
    """What is sent: mounts, namespaces plus 1, and the numbers of the three largest namespaces."""
    most_mounts, most_in_tree, most_spaces = most
    spaces = Counter(ns for tree in trees for ns in tree if ns)
    n = sum(map(len, trees))
    unknown = any(len(tree) > most_in_tree for tree in trees)
    listed = 1 < len(spaces) <= most_spaces and not unknown
    largest = sorted(spaces.values(), reverse=True)[:3] if listed else []
    return str(n if n <= most_mounts else -1), str(0 if unknown else len(spaces) + 1), largest


def umounts_of(seed):
    """Umounts of all sizes, one after the other, as the table of namespaces is used again."""
    chance = random.Random(seed)
    for _ in range(60):
        spaces = chance.choice([1, 2, 3, 30, 200, 1000])
        sizes = [
            chance.choice([0, 1, 2, 7, 100, 255, 1500]) for _ in range(chance.choice([1, 1, 3]))
        ]
        yield [[chance.randint(0, spaces) for _ in range(size)] for size in sizes]


@pytest.mark.parametrize("seed", range(5))
def test_it_counts_what_is_there(counted, seed):
    count, most = counted
    umounts = [[tree for tree in trees if tree] or [[]] for trees in umounts_of(seed)]
    for trees, (mounts, spaces, *largest) in zip(umounts, count(umounts), strict=True):
        truth = Counter(ns for tree in trees for ns in tree)
        pairs = [tuple(map(int, pair.split(":"))) for pair in largest]
        assert all(truth[inum] == n for inum, n in pairs)
        assert (mounts, spaces, [n for _inum, n in pairs]) == expected(trees, most)


@pytest.mark.parametrize("n", [2047, 2048, 3000, 6143, 6144, 6145, 15_000])
def test_a_list_is_counted_to_its_end_or_not_at_all(counted, n):
    count, (most, _tree, _spaces) = counted
    ((mounts, *_),) = count([[[1] * n]])
    assert int(mounts) == (n if n <= most else -1)


@pytest.mark.parametrize("n", [100, 1000, 2000])
def test_thousands_of_namespaces_have_room(counted, n):
    count, (_mounts, most, _spaces) = counted
    ((_n, spaces, *_),) = count([[list(range(1, n + 1))]])
    assert int(spaces) == (n + 1 if n <= most else 0)


def test_a_tree_without_copies_is_in_one_namespace(counted):
    count, _most = counted
    assert count([[["7 + 7 / 8"]]]) == [["3", "3"]]
