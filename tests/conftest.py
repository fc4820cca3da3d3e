"""Skips carry a reason, and can be forbidden.

UMTRACE_KERNEL_TESTS=require and UMTRACE_LAB_TESTS=require turn a skip of a test that
needs the kernel or the lab into a failure.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.working_tiers import working_tiers
from umtrace.model.errors import UmtraceError
from umtrace.sources.bpf.program_cache import VARIABLE

# A timed assertion never fails a test: on a busy host an example may take long.
settings.register_profile("umtrace", deadline=None)
settings.load_profile("umtrace")


#: what `make check` leaves out: `make test` runs it. Each starts many processes, makes real
#: mounts, or draws many pictures.
SLOW_FILES = frozenset(
    {
        "analysis/test_pictures.py",
        "analysis/test_plots.py",
        "api/test_html.py",
        "cli/test_completion.py",
        "cli/test_help.py",
        "cli/test_whole.py",
        "ebusy/test_soundness.py",
        "fuzz/test_short.py",
        "holders/test_ask_kernel.py",
        "holders/test_asker.py",
        "holders/test_copies.py",
        "holders/test_exiting.py",
        "holders/test_keepers.py",
        "holders/test_mappings.py",
        "holders/test_namespaces.py",
        "holders/test_scan.py",
        "holders/test_sockets.py",
        "holders/test_swapped.py",
        "holders/test_unanswering.py",
        "holders/test_unlisted.py",
        "holders/test_unmounters.py",
        "holders/test_unshown.py",
        "holders/test_uprobes.py",
        "holders/test_why.py",
        "holders/test_why_matrix.py",
        "holders/test_why_paths.py",
        "holders/test_zombies.py",
        "pipeline/test_consumers.py",
        "present/test_commands.py",
        "readers/test_every_filter.py",
        "readers/test_hostile_text.py",
        "readers/test_unseen.py",
        "recording/test_hostile.py",
        "recording/test_kill.py",
        "stuck/test_hangs.py",
        "system/test_bad_input.py",
        "system/test_poor_installation.py",
        "system/test_use_pages.py",
    }
)
_TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    missing = [name for name in SLOW_FILES if not (_TESTS / name).is_file()]
    assert not missing, f"renamed or removed: {missing}"
    for item in items:
        if item.path.relative_to(_TESTS).as_posix() in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


class _ByGuest(LoadScopeScheduling):
    """Tests of one file go to one process, of one kernel where each has a guest of its own."""

    def _split_scope(self, nodeid):
        file, _, test = nodeid.partition("::")
        kernel = re.search(r"\d[^]]*(?=\]$)", test) if file == KERNEL_BY_KERNEL else None
        return kernel[0] if kernel else file


#: the last parameter of each test is its kernel, which begins with a digit
KERNEL_BY_KERNEL = "tests/lab/test_real_kernels.py"


@pytest.hookimpl(optionalhook=True)  # some tests run others without xdist
def pytest_xdist_make_scheduler(config, log):
    return _ByGuest(config, log) if config.getvalue("dist") == "loadscope" else None


@lru_cache
def no_kernel_reason() -> str | None:
    """Why tests of the running kernel cannot run here; None when they can."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        working_tiers()
    except UmtraceError as error:
        return str(error)
    return None


@pytest.fixture(autouse=True, scope="session")
def _programs_of_these_tests_only(tmp_path_factory):
    """Compiled programs are kept for the run, and neither found nor left on the host."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop(VARIABLE)
    if before is not None:
        os.environ[VARIABLE] = before


def pytest_runtest_setup(item):
    if item.get_closest_marker("kernel"):
        _need(no_kernel_reason(), "UMTRACE_KERNEL_TESTS")


def _need(reason: str | None, variable: str) -> None:
    if reason is None:
        return
    if os.environ.get(variable) == "require":
        pytest.fail(f"{variable}=require, but: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A skip inside a test that must run is a failure as well."""
    report = yield
    for marker, variable in (("kernel", "UMTRACE_KERNEL_TESTS"), ("lab", "UMTRACE_LAB_TESTS")):
        required = os.environ.get(variable) == "require"
        if report.skipped and required and item.get_closest_marker(marker):
            report.outcome = "failed"
            report.longrepr = f"{variable}=require, but skipped: {report.longrepr}"
    return report
