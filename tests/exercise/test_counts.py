from __future__ import annotations

import pytest

from umtrace.cli.main import run


@pytest.mark.parametrize("option", ["--sync", "--lazy", "--busy"])
def test_a_count_that_nobody_can_wait_for_is_refused(option, capsys):
    assert run(["exercise", option, str(10**21)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "at most 1000000 is possible" in said
