"""When every system call of the host is looked at, for umounts that nothing else ends."""

from __future__ import annotations

import pytest

from umtrace.sources.bpf.syscall_fallback import SyscallFallback


class Host:
    """How many umounts wait, and whether the probe is attached."""

    def __init__(self):
        self.now, self.waiting, self.attached = 0.0, 0, False
        self.probe = SyscallFallback(
            waiting=lambda: self.waiting,
            attach=lambda: self.set(True),
            detach=lambda: self.set(False),
            clock=lambda: self.now,
        )

    def set(self, attached):
        assert self.attached != attached
        self.attached = attached

    def after(self, seconds, waiting):
        """Look every 0.1 s, and return whether the probe is attached at the end."""
        self.waiting = waiting
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.probe.update()
        return self.attached


@pytest.fixture
def host():
    return Host()


def test_nobody_waits(host):
    assert not host.after(60, waiting=0)
    assert host.probe.times == 0


def test_one_that_waits_a_moment_is_left_alone(host):
    host.after(1, waiting=0)
    host.after(0.2, waiting=1)
    assert not host.after(5, waiting=0)
    assert host.probe.times == 0


def test_one_that_waits_gets_the_probe_until_it_is_over(host):
    assert host.after(1, waiting=1)
    assert not host.after(0.5, waiting=0)
    assert host.probe.times == 1


def test_one_that_never_makes_a_system_call_keeps_it_for_a_short_while_only(host):
    attached = sum(host.after(0.1, waiting=1) for _ in range(6000))  # ten minutes
    assert 0 < attached < 600  # a tenth of the time at most
