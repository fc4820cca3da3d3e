"""Another Python finds this very umtrace, and nothing in the working directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import umtrace

SAYS = "def main():\n import decimal, umtrace; print(umtrace.__file__, decimal.__file__)\n"
ASKS = """
import subprocess
from umtrace.search_path import python_child
subprocess.run(python_child("umtrace.says"), check=True)
"""


def test_a_package_in_the_working_directory_is_found_and_nothing_else_there(tmp_path):
    shutil.copytree(Path(umtrace.__file__).parent, tmp_path / "umtrace")
    (tmp_path / "umtrace/says.py").write_text(SAYS)
    (tmp_path / "decimal.py").write_text("")
    words = [sys.executable, "-c", ASKS]
    found = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    ours, decimal = found.stdout.split()
    assert ours == str(tmp_path / "umtrace/__init__.py")
    assert not decimal.startswith(str(tmp_path))
