"""The layers of id-mapped containers, and what keeps them busy."""

from __future__ import annotations

import errno

import pytest

from umtrace.cli.main import run
from umtrace.exercise import syscalls

ROUNDS = 2


@pytest.fixture(autouse=True)
def _id_mapped_mounts():
    if not syscalls.knows_mount_setattr():
        pytest.skip("this kernel has no mount_setattr(2), which came with Linux 5.12")


def test_layers_and_overlays_are_unmounted_with_their_copies(exercise):
    ledger = exercise("--containers 3 --layers 5 --neighbours 2 --makers 2")
    below = [call for call in ledger.umounts if call.path.startswith(f"{ledger.root}/l/m/")]
    assert len(below) == 3 * ROUNDS * (5 + 1)
    assert {(call.errno, call.n_mounts) for call in below} == {(0, 1 + 2)}
    assert len(ledger.ns_exits) == 2
    assert ledger.holds == []


def test_makers_are_threads_of_one_process(exercise):
    ledger = exercise("--containers 4 --layers 2 --makers 2")
    makers = {(call.pid, call.comm) for call in ledger.umounts if "/l/m/" in call.path}
    assert makers == {(ledger.pid, "umt-maker-0"), (ledger.pid, "umt-maker-1")}


def test_each_refused_umount_has_a_holder_in_the_ledger(exercise):
    ledger = exercise("--containers 2 --layers 5 --holds 8 --hold 20ms")
    refused = [call for call in ledger.umounts if call.errno]
    assert {call.errno for call in refused} == {errno.EBUSY}
    for call in refused:
        assert any(_held(hold, call) for hold in ledger.holds), call
    assert [hold.kind for hold in ledger.holds].count("copy") == 4
    assert {call.path for call in refused} == {path for hold in ledger.holds for path in hold.paths}


def test_without_a_neighbour_children_hold_all(exercise):
    ledger = exercise("--containers 1 --layers 5 --holds 4 --neighbours 0 --hold 20ms")
    assert {hold.kind for hold in ledger.holds} == {"inherited"}
    assert {hold.comm for hold in ledger.holds} == {f"umt-fork-{n}" for n in range(4)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--containers 1 --holds 3", "--hold"),
        ("--containers 1 --holds 200 --hold 1ms", "at most"),
        ("--containers 1 --layers 0", "at least 1"),
        ("--containers 1 --layers 101", "layers: 100 at most"),
    ],
)
def test_what_cannot_be_done_is_refused(options, said, capsys):
    assert run(["exercise", *options.split()]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert said in printed


def _held(hold, call):
    """Whether both overlap: a call that is refused may get the CPU back after the hold is over."""
    overlap = call.t_start <= hold.over and hold.begin <= call.t_start + call.latency_ns
    return call.path in hold.paths and overlap
