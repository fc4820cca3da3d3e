"""Keeps tests apart that would change each other's answers: `why` looks at the whole host."""

from __future__ import annotations

import fcntl

import pytest


@pytest.fixture(autouse=True)
def _apart(tmp_path_factory):
    """Run a test beside no other of this folder, in all workers."""
    # With --dist loadgroup all of them are in one worker; without, they wait for each other.
    with (tmp_path_factory.getbasetemp().parent / "holders.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
