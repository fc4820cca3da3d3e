"""Lines of a probe plan, and those of recordings made before they had a state."""

from __future__ import annotations

import pytest

from umtrace.model.plan_line import PlanLine

OLD = (
    ("ok", "x", "fentry", "ok", ""),
    ("lost: refcount (inlined)", "mnt_get_count", "-", "lost", "refcount (inlined)"),
    ("not used: no BTF", "-", "-", "declined", "no BTF"),
    ("lost: path (a pointer)", "sys_enter_umount", "tracepoint", "lost", "path (a pointer)"),
    ("nothing tells it", "sched:sched_switch", "tracepoint", "substitute", "nothing tells it"),
    (
        "left out by --probes light: n_legitimized", "__legitimize_mnt", "-", "lost",
        "left out by --probes light: n_legitimized",
    ),
)  # fmt: skip


@pytest.mark.parametrize(("text", "probe", "how", "state", "reason"), OLD)
def test_a_line_without_a_state_has_the_one_its_text_says(text, probe, how, state, reason):
    line = PlanLine.from_dict({"meaning": "m", "probe": probe, "how": how, "reason": text})
    assert (line.state, line.reason) == (state, reason)
    assert line.text.endswith(text)  # an older version shows the same


@pytest.mark.parametrize("state", ["ok", "substitute", "lost", "declined"])
@pytest.mark.parametrize("reason", ["", "lost: and more", "not used: lost: x", "ok"])
def test_what_is_written_is_read_again(state, reason):
    line = PlanLine(meaning="m", probe="p", how="h", state=state, reason=reason, why="w")
    again = PlanLine.from_dict(line.to_dict())
    assert again.to_dict() == line.to_dict()
    assert again.state == state


def test_what_is_missing_or_of_another_version_is_no_error():
    assert PlanLine.from_dict({}) == PlanLine(meaning="")
    newer = PlanLine.from_dict({"meaning": "m", "state": "halved", "reason": "half of it"})
    assert (newer.state, newer.reason) == ("lost", "half of it")
