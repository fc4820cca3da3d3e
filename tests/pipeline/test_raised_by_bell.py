"""A probe that wakes the reader raises it, also while it works."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from umtrace.pipeline.bell import raised_by
from umtrace.pipeline.pace import WAITING_NICE

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root may raise it")


def own_nice():
    return os.getpriority(os.PRIO_PROCESS, 0)


def raised(patience_s=10.0):
    """Wait until this thread is raised; return whether it is."""
    until = time.monotonic() + patience_s
    while own_nice() != WAITING_NICE and time.monotonic() < until:
        time.sleep(0.001)
    return own_nice() == WAITING_NICE


@pytest.fixture
def bell():
    ring, rung = os.pipe()
    yield ring, lambda: os.write(rung, b".")
    os.close(ring)
    os.close(rung)


@root_only
def test_each_ring_raises_the_reader_that_has_lowered_itself(bell):
    before, (ring, rang) = own_nice(), bell
    with raised_by(ring):
        assert not raised(0.05)
        for _ in range(3):  # also if nobody has read the one before
            rang()
            assert raised()
            os.setpriority(os.PRIO_PROCESS, 0, before)
        rang()
        assert raised()
    assert own_nice() == before


@root_only
def test_a_reader_that_has_a_higher_one_keeps_it(bell):
    before, (ring, rang) = own_nice(), bell
    with raised_by(ring):
        os.setpriority(os.PRIO_PROCESS, 0, WAITING_NICE - 1)
        rang()
        time.sleep(0.1)
        assert own_nice() == WAITING_NICE - 1
    assert own_nice() == before


def test_without_a_bell_no_thread_is_started():
    threads = threading.active_count()
    with raised_by(None):
        assert threading.active_count() == threads


def test_it_leaves_neither_a_thread_nor_a_descriptor(bell):
    with raised_by(bell[0]):  # the first one opens what stays
        pass
    before = threading.active_count(), len([*Path("/proc/self/fd").iterdir()])
    with raised_by(bell[0]):
        pass
    assert (threading.active_count(), len([*Path("/proc/self/fd").iterdir()])) == before
