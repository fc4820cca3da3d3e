"""A signal may raise SystemExit between any two lines: nothing is left in tracefs all the same."""

from __future__ import annotations

import os

import pytest

from umtrace.kernel.tracefs import Tracefs
from umtrace.sources.ftrace.instance import Instance
from umtrace.sources.tracefs_guard import TracefsLock

pytestmark = pytest.mark.kernel


@pytest.fixture
def tracefs():
    with Tracefs() as opened:
        yield opened


def left(tracefs, owner):
    return [name for name in tracefs.names("instances") if owner.number in name]


def test_an_instance_that_was_made_and_not_noted(tracefs, monkeypatch):
    owner, mkdir = TracefsLock(tracefs), os.mkdir

    def interrupted(*args, **options):
        mkdir(*args, **options)
        raise SystemExit(129)

    monkeypatch.setattr(os, "mkdir", interrupted)
    with pytest.raises(SystemExit):
        Instance(tracefs, owner)
    assert left(tracefs, owner) == []
    owner.close()


def test_an_instance_that_nobody_knows_of(tracefs):
    owner = TracefsLock(tracefs)
    owner.watch()
    os.mkdir(f"instances/{owner.instance(gated=True)}", dir_fd=tracefs.fd)
    assert len(left(tracefs, owner)) == 1
    owner.close()
    assert left(tracefs, owner) == []
