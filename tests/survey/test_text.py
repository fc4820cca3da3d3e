"""The lines of a survey: short, plain, without anything that identifies a host, and read again."""

from __future__ import annotations

import contextlib
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.rows import batch_of
from umtrace.model.errors import DamagedInputError
from umtrace.model.losses import LossReport
from umtrace.present.units import percent
from umtrace.survey.bounded import cpus, kernel_version, number, read_number, time
from umtrace.survey.counts import COLUMNS, Counts
from umtrace.survey.host import Host, recorded_host
from umtrace.survey.merge import read_surveys, table
from umtrace.survey.text import COLUMNS as WIDTH
from umtrace.survey.text import LINES, lines

_HOST = Host(
    kernel="6.12.118 (Enterprise Linux)",
    preempt="PREEMPT_DYNAMIC",
    cpus=1000,
    rcu_normal=1,
    rcu_expedited=None,
    tier="ftrace-static",
    seconds=86400.0,
)
_ROW = {
    "latency_ns": 5_000_000,
    "origin": "umount",
    "mode": "sync",
    "errno": 0,
    "n_mounts": 3,
    "n_held": 0,
    "rcu_ns": 4_000_000,
    "rcu_kind": "expedited",
    "complete": True,
}


def _counts(*rows):
    counts = Counts()
    counts.add(batch_of([{**_ROW, **row} for row in rows]).select(COLUMNS))
    return counts


def _lines(counts, host=_HOST, verdicts=None, losses=None):
    unseen = "not seen in this tier"
    return lines(host, counts, verdicts or {}, losses or LossReport(), unseen=unseen)


def _check_form(text):
    assert len(text) <= LINES
    assert max(map(len, text)) <= WIDTH
    assert all(line.isascii() and line.isprintable() for line in text)


def test_the_largest_survey_fits():
    counts = _counts({}, {"mode": "lazy", "n_held": 1}, {"origin": "ns-exit"}, {"origin": "expire"})
    for _ in range(40):  # doubles each time
        for kind, held in counts.held.items():
            counts.held[kind] = held + held
    counts.held["sync"].known -= 1
    counts.failed = counts.unfinished = 10**12
    counts.rcu_kinds.update({"expedited": 10**12, "normal": 10**12, "piggybacked": 10**12})
    counts.rcu_kinds.update({"none": 10**12})
    losses = LossReport(**{f.name: 10**12 for f in fields(LossReport) if "_by" not in f.name})
    verdicts = {"held": 10**12, "spurious": 10**12, "unknown": 10**12}
    _check_form(_lines(counts, verdicts=verdicts, losses=losses))


def test_nothing_and_nothing_known():
    empty = _lines(Counts())
    _check_form(empty)
    assert "nobody else  no umount succeeded" in empty
    unknown = dict.fromkeys(("n_held", "rcu_ns", "n_mounts"))
    text = _lines(_counts(unknown))
    _check_form(text)
    for label in ("victims      ", "nobody else  ", "RCU wait     ", "on demand    "):
        assert label + "not seen in this tier" in text


def test_what_it_says():
    counts = _counts(*[{}] * 97, *[{"n_held": 2, "mode": "lazy"}] * 3, {"errno": 16})
    text = " ".join(" ".join(_lines(counts, verdicts={"held": 1})).split())
    assert "101: 97 sync, 3 lazy, 0 namespace end, 0 other, 1 failed" in text
    assert "97 of 100 umounts had no victim" in text
    assert "97.0 % (95 %: 91.5 % to 99.0 %)" in text
    assert "3 of 100 umounts would wait; RCU wait left: 3.0 %" in text
    assert "umount -l would not wait (3 calls); RCU wait left: 97.0 %" in text
    assert "p50 4.0 ms, p99 4.0 ms, 80.0 % of the time" in text


@pytest.mark.parametrize(
    ("release", "shown"),
    [
        ("6.12.118+deb13-amd64", "6.12.118 (Debian)"),
        ("5.10.0-32-amd64", "5.10.0 (Debian)"),
        ("6.8.0-45-generic", "6.8.0 (Ubuntu)"),
        ("5.14.0-503.el9_5.x86_64", "5.14.0 (Enterprise Linux)"),
        ("6.11.4-301.fc41.x86_64", "6.11.4 (Fedora)"),
        ("6.6.1-example-prod-host17", "6.6.1"),
        ("7.4.0-rc2-somebody+", "7.4.0"),
        ("somebody", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_release_loses_the_names_of_its_owner(release, shown):
    assert kernel_version(release) == shown


def test_a_recording_of_somebody_else_brings_no_text_of_its_own():
    host = recorded_host(
        kernel="6.6.1-secret #1 SMP secret PREEMPT_RT", rcu={"rcu_normal": "secret"},
        tier="fentry", seconds=None, version="secret; rm",
    )  # fmt: skip
    text = "\n".join(_lines(_counts({}), host=host))
    assert "secret" not in text
    assert "6.6.1, PREEMPT_RT, CPUs unknown" in text


def test_numbers_are_bounded():
    assert [cpus(n) for n in (1, 2, 3, 48, 64)] == [
        "1",
        "2 to 3",
        "2 to 3",
        "32 to 63",
        "64 to 127",
    ]
    many = (9999, 10_000, 123_456, 999_999, 4_000_000, 10**15)
    assert [number(n) for n in many] == ["9999", "10.0k", "123k", "1.00M", "4.00M", "1000T"]
    assert [percent(p) for p in (0, 0.0001, 0.5, 0.99999, 1)] == [
        "0 %", "<0.1 %", "50.0 %", ">99.9 %", "100 %",
    ]  # fmt: skip


@given(st.integers(0, 10**16))
def test_a_number_is_read_again(count):
    assert abs(read_number(number(count)) - count) <= 0.005 * count


@given(st.integers(0, 10**15))
def test_a_time_has_two_digits_and_is_right(ns):
    value, unit = time(ns).split()
    value = float(value) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
    assert abs(value - ns) <= max(0.05 * ns, 0.5)


def test_surveys_are_read_out_of_a_mail_that_quotes_them():
    first = _lines(_counts(*[{}] * 97, *[{"n_held": 2}] * 3))
    second = _lines(_counts({"n_held": None}))
    mail = "\n".join(["Hi,", "", *(f"> {line}" for line in first), ">", *second, "", "regards"])
    one, two = read_surveys(mail, "mail.txt")
    assert (one.free, one.known, one.umounts) == (97, 100, 100)
    assert (two.free, two.known, two.umounts) == (None, None, 1)
    assert (one.kernel, one.cpus, one.tier) == ("6.12.118", "512-1023", "ftrace-static")
    text = table([one, two])
    assert max(map(len, text)) <= WIDTH
    assert text[3].startswith("-: ")
    assert " ".join(text[5:]).startswith("1 survey (of 2): 97 of 100")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no survey in it"),
        ("umtrace survey 2, umtrace 9.0\nkernel  7.9", "newer umtrace"),
        ("umtrace survey 1, umtrace 0.2.0\nkernel       6.1, PREEMPT, 1 CPU", "all of its lines"),
        ("umtrace survey 1, umtrace 0.2.0\n" * 10_001, "more than 10,000"),
        (
            (
                "umtrace survey 1, umtrace 0.2.0\nkernel       6.1, PREEMPT, 1 CPU\n"
                "traced       5 s, tier fentry\numounts      3: 3 sync\n"
                "nobody else  5 of 3 umounts had no victim"
            ),
            "impossible",
        ),
    ],
)
def test_what_is_no_survey_is_refused(text, complaint):
    with pytest.raises(DamagedInputError, match=complaint):
        read_surveys(text, "mail.txt")


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text):
    survey = "\n".join(_lines(_counts({})))
    with contextlib.suppress(DamagedInputError):
        read_surveys(f"{survey}\n{text}", "mail.txt")
