"""Which kernels preempt themselves, by what they say."""

from __future__ import annotations

import pytest

from umtrace.kernel.preemption import preemptible, preempts


@pytest.mark.parametrize(
    ("version", "mode", "expected"),
    [
        ("#1 SMP Debian 5.10.223-1 (2024-08-10)", "", False),
        ("#1 SMP PREEMPT_RT Debian 6.1.192-2 (2026-10-11)", "", True),
        ("#2 SMP PREEMPT Tue Nov 3 2026", "", True),
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.12.118-1", "none (voluntary) full", False),
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.12.118-1", "(none) voluntary full lazy", False),
        ("#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1", "none voluntary full (lazy)", True),
        ("#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1", "none voluntary (full)", True),
        ("#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1", "", True),
    ],
)
def test_by_the_version_and_debugfs(version, mode, expected):
    assert preempts(version, mode) is expected


def test_this_kernel_is_asked_without_being_changed():
    assert preemptible() in {True, False}
