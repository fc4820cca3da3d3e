"""What stays in memory of a command that runs for long."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import os, sys
from umtrace.cli.group import LazyGroup
LazyGroup().get_command(None, sys.argv[1])
if sys.argv[1] in ("record", "trace"):
    from umtrace.cli.live import import_pipeline
    import_pipeline()
import pyarrow as pa
print(pa.default_memory_pool().backend_name, os.environ.get("ARROW_DEFAULT_MEMORY_POOL"))
"""


def pool_of(command, **environment):
    asked = [sys.executable, "-c", ASK, command]
    return subprocess.check_output(asked, env=environment, text=True).split()


@pytest.mark.parametrize("command", ["record", "trace"])
def test_memory_is_given_back_and_the_recorded_command_knows_nothing_of_it(command):
    assert pool_of(command) == ["system", "None"]


def test_a_pool_that_was_chosen_is_kept():
    assert pool_of("record", ARROW_DEFAULT_MEMORY_POOL="mimalloc")[1] == "mimalloc"


def test_readers_keep_the_quick_pool():
    assert pool_of("report")[0] != "system"


def test_what_attaches_the_probes_imports_nothing_large():
    # It would be waited for: the probes' compiler is asked first, then all of it is imported.
    modules = "umtrace.cli.main, umtrace.cli.record, umtrace.cli.trace, umtrace.sources.bpf.source"
    loaded = subprocess.check_output(
        [sys.executable, "-c", f"import sys, {modules}; print(*sys.modules)"], text=True
    )
    assert not {"numpy", "pyarrow", "rich", "bcc"} & set(loaded.split())
