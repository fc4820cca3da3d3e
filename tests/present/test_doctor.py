"""What `umtrace doctor` prints: the verdict first, a word for each state, a fix where one is."""

from __future__ import annotations

import json

import pytest

from umtrace import diagnosis
from umtrace.diagnosis import Diagnosis, TierResult
from umtrace.model.errors import NotPermittedError
from umtrace.model.plan_line import PlanLine, without_reason
from umtrace.model.tiers import names
from umtrace.present.doctor import doctor_text
from umtrace.probes.features import Feature

_OFF = "boot a kernel with CONFIG_KPROBES"
_NO_ROOT = "tracing needs root: run it with sudo"
_PLAN = (
    PlanLine(meaning="tier ftrace", state="declined", reason="no kprobe events"),
    PlanLine(meaning="waits", probe="sched:sched_switch", how="tracepoint"),
    PlanLine(meaning="operation", probe="e", how="tracepoint", state="lost", reason="path (old)"),
    PlanLine(meaning="walker", probe="f", state="lost", reason="walks (no BTF (at all))"),
    PlanLine(meaning="calls", state="lost", reason="nothing; the tracepoints do"),
    PlanLine(meaning="other ends", state="lost", reason="ends by setns (unseen)"),
)
FEATURES = (
    Feature("privileges", True, "root"),
    Feature("lockdown", None, "not known: securityfs is not mounted", "mount -t securityfs s /s"),
    Feature("kernel symbols", False, "hidden", "sysctl kernel.kptr_restrict=1"),
)


def no(tier, why, remedy=""):
    return TierResult(tier, False, why, exit_code=4, unusable=why, remedy=remedy)


def stood_in():
    why = "no kprobe events"
    return TierResult(
        "ftrace", True, f"attaches as ftrace-static: {why}", _PLAN,
        attached="ftrace-static", unusable=why, remedy=_OFF,
    )  # fmt: skip


def works(tier, plan=_PLAN):
    return TierResult(tier, True, "attaches", plan, attached=tier)


def text_of(*tiers, features=FEATURES):
    found = json.loads(json.dumps(Diagnosis(features, tiers, {}).to_dict()))
    text = doctor_text(found)
    assert max(map(len, text.splitlines())) <= 80
    return text


USUAL = (
    no("fentry", "the kernel refuses it"), no("kprobe", "no kprobe events", _OFF), stood_in(),
    works("tracepoint"), works("ftrace-static"),
)  # fmt: skip


def test_the_verdict_comes_first():
    head = text_of(*USUAL).partition("\n\n")[0].splitlines()
    assert head[:4] == [
        "`umtrace record` works here, in tier tracepoint (4th of 5, best first).",
        "Better tiers cannot be used:",
        "  fentry: the kernel refuses it",
        "  kprobe, ftrace: no kprobe events",
    ]
    unseen = " ".join(line.strip() for line in head[4:-2])
    assert unseen.startswith("Not seen in tier tracepoint: file system type")
    assert unseen.endswith("; path; walks; ends by setns.")
    assert head[-2:] == [
        f"fix for kprobe, ftrace: {_OFF}",
        "fix for kernel symbols: sysctl kernel.kptr_restrict=1",
    ]
    assert len(head) <= 12


def test_the_best_tier_without_a_gap_has_a_verdict_of_two_lines():
    tiers = (works("fentry", _PLAN[1:2]), *USUAL[1:])
    head = text_of(*tiers, features=FEATURES[:2]).partition("\n\n")[0]
    assert head == (
        "`umtrace record` works here, in tier fentry (1st of 5, best first).\n"
        "Nothing is missing in tier fentry."
    )


def test_where_no_tier_works_one_fix_is_for_all():
    tiers = [no(tier, _NO_ROOT, "run it with sudo") for tier in names()]
    head = text_of(*tiers).partition("\n\n")[0].splitlines()
    assert head[:3] == [
        "`umtrace record` does not work here: no tier can be used.",
        f"  {', '.join(names())}: tracing needs root",
        "fix: run it with sudo",
    ]


def test_what_is_not_known_is_not_ok():
    lines = text_of(*USUAL).splitlines()
    (line,) = [line for line in lines if "not known: " in line]
    assert line.startswith("  ??  lockdown ")
    assert lines[lines.index(line) + 1].strip() == "fix: mount -t securityfs s /s"
    assert (
        json.loads(json.dumps(Diagnosis(FEATURES, (), {}).to_dict()))["features"][1]["ok"] is None
    )


def test_each_state_has_a_word_and_nothing_has_no_probe():
    text = text_of(*USUAL)
    assert "(-)" not in text
    assert "  not used   tier ftrace          no kprobe events\n" in text
    assert "  ok         waits                sched:sched_switch (tracepoint)\n" in text
    assert (
        "  in part    operation            e (tracepoint)\n             lost: path (old)\n" in text
    )
    assert "  lost       walker               f is not probed\n             walks (no" in text
    assert "  lost       other ends           ends by setns (unseen)\n" in text
    for word in ("ok: ", "substitute: ", "in part: ", "lost: ", "not used: "):
        assert word in " ".join(text.split())


def test_a_stand_in_has_its_plan_once():
    text = text_of(*USUAL)
    assert (
        "Tier ftrace: cannot be used; ftrace-static takes its place\n  no kprobe events\n\n" in text
    )
    alone = doctor_text({"features": [], "tiers": Diagnosis((), USUAL[2:3], {}).to_dict()["tiers"]})
    assert "sched:sched_switch" in alone


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("waits, ns-exit (hidden (kptr_restrict=2))", "waits, ns-exit"),
        ("32-bit (compat) calls (no tracepoint)", "32-bit (compat) calls"),
        ("32-bit (compat) calls", "32-bit (compat) calls"),
        ("all", "all"),
        ("odd)", "odd)"),
        ("", ""),
    ],
)
def test_a_loss_without_its_reason(text, left):
    assert without_reason(text) == left


def test_a_missing_privilege_is_one_reason_for_all_tiers(monkeypatch):
    """Each tier fails at another step; the verdict has one line for all of them, and one fix."""

    def fails(tier):
        raise NotPermittedError(f"what {tier} tries: {_NO_ROOT}")

    monkeypatch.setattr(diagnosis, "open_source", fails)
    monkeypatch.setattr(diagnosis, "missing_privilege", lambda: _NO_ROOT)
    head = text_of(*(diagnosis.tried(tier) for tier in names())).partition("\n\n")[0]
    assert f"  {', '.join(names())}: tracing needs root\nfix: run it with sudo" in head
