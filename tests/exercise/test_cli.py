from __future__ import annotations

import pytest

from tests.exercise.ledgers import read_ledger
from umtrace.cli.main import run
from umtrace.exercise.config import ExerciseConfig
from umtrace.exercise.ledger import Ledger
from umtrace.model.clock import ClockPair


@pytest.fixture
def asked(monkeypatch):
    """The configs that the command line led to; nothing is unmounted."""
    configs: list[ExerciseConfig] = []

    def pretend(config: ExerciseConfig) -> Ledger:
        configs.append(config)
        clock = ClockPair(0, 0)
        ledger = Ledger(root="/r", mntns=1, pid=2, kernel="6", clock=clock, config={})
        ledger.interrupted_by = 15 if config.hold_ms else None
        return ledger

    monkeypatch.setattr("umtrace.exercise.run.run", pretend)
    return configs


def test_defaults_without_any_count(asked, capsys):
    assert run(["exercise", "--files", "5"]) == 0
    assert asked == [ExerciseConfig(sync=10, lazy=5, busy=3, files=5)]
    assert "0 umount2 calls" in capsys.readouterr().out


def test_one_count_sets_the_others_to_none(asked):
    assert run(["exercise", "--ns-exit", "4"]) == 0
    assert run(["exercise", "--tasks", "2", "--duration", "0.5", "--task-mode", "lazy"]) == 0
    assert asked == [
        ExerciseConfig(ns_exit=4),
        ExerciseConfig(tasks=2, duration_s=0.5, task_mode="lazy"),
    ]


def test_json(asked, capsys):
    assert run(["exercise", "--sync", "0", "--json"]) == 0
    assert read_ledger(capsys.readouterr().out).root == "/r"


def test_a_run_cut_short_prints_its_ledger_and_says_so(asked, capsys):
    assert run(["exercise", "--hold", "1ms"]) == 128 + 15
    printed = capsys.readouterr()
    assert "umount2 calls" in printed.out
    assert printed.err == "umtrace: ended by SIGTERM; the ledger lists what was done\n"


@pytest.mark.parametrize(
    "wrong", ["--sync -1", "--duration 3", "--walkers 1 --lazy 2", "--fstype vfat", "--sync x"]
)
def test_usage_errors_are_one_line_and_2(asked, capsys, wrong):
    assert run(["exercise", *wrong.split()]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert asked == []
