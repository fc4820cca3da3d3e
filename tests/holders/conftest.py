"""Keeps tests apart that would change each other's answers: `why` looks at the whole host."""

from __future__ import annotations

import fcntl

import pytest


@pytest.fixture
def alone():
    """Leave something behind for a while that makes any other answer unknown."""


@pytest.fixture(autouse=True)
def _apart(request, tmp_path_factory):
    """Run a test that wants to be alone beside no other of this folder, in all workers."""
    mode = fcntl.LOCK_EX if "alone" in request.fixturenames else fcntl.LOCK_SH
    with (tmp_path_factory.getbasetemp().parent / "holders.lock").open("w") as lock:
        fcntl.flock(lock, mode)
        yield
