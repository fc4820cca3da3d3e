from __future__ import annotations

import pytest

from umtrace.exercise.config import ORDER, ExerciseConfig
from umtrace.model.errors import UsageError


@pytest.mark.parametrize(
    "wrong",
    [
        {"sync": -1},
        {"sync": 1, "files": -1},
        {"tasks": 1, "duration_s": -0.5},
        {"lazy": 1, "hold_ms": -1.0},
        {"fstype": "btrfs"},
        {"task_mode": "eager"},
        {"walkers": 2, "lazy": 3},
    ],
)
def test_what_cannot_be_done_is_a_usage_error(wrong):
    with pytest.raises(UsageError):
        ExerciseConfig(**wrong)


def test_the_ledger_says_what_was_asked_for_and_in_which_order():
    config = ExerciseConfig(sync=3, walkers=1).to_json()
    assert (config["sync"], config["walkers"], config["lazy"]) == (3, 1, 0)
    assert config["order"] == list(ORDER)
