from __future__ import annotations

import errno
import os

import pytest

from umtrace.kernel import refusals
from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError


def refused(number, absent=""):
    return refusals.refusal("what", OSError(number, os.strerror(number)), absent=absent)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_resource_that_ran_out_says_nothing_about_the_kernel(number):
    assert type(refused(number, absent="no such thing")) is UmtraceError


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_a_privilege_is_named_as_such(number):
    assert isinstance(refused(number, absent="no such thing"), NotPermittedError)


def test_what_does_not_exist_is_said_to_be_absent():
    error = refused(errno.ENOENT, absent="no such thing")
    assert isinstance(error, NoTierError)
    assert str(error) == "no such thing"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("none integrity [confidentiality]\n", "confidentiality"),
        ("[none] integrity confidentiality\n", "none"),
        ("", None),
    ],
)
def test_the_mode_of_lockdown(tmp_path, monkeypatch, text, mode):
    (tmp_path / "lockdown").write_text(text)
    monkeypatch.setattr(refusals, "LOCKDOWN", tmp_path / "lockdown")
    assert refusals.lockdown() == mode


def test_lockdown_is_unknown_without_securityfs(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "LOCKDOWN", tmp_path / "absent")
    assert refusals.lockdown() is None


def test_confidentiality_is_the_reason_for_a_refusal(tmp_path, monkeypatch):
    (tmp_path / "lockdown").write_text("none integrity [confidentiality]\n")
    monkeypatch.setattr(refusals, "LOCKDOWN", tmp_path / "lockdown")
    monkeypatch.setattr(refusals, "missing_capability", lambda: "")
    for number in (errno.EPERM, errno.EINVAL):
        assert "locked down (confidentiality)" in str(refused(number))
        assert isinstance(refused(number), NotPermittedError)
    assert str(refused(errno.ENOENT, absent="no such thing")) == "no such thing"
    assert refusals.hidden_addresses()[0] == "lockdown=confidentiality"
