"""The test that docs/python.md shows for a consumer of one's own runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/python.md"
HEADING = "## Your own live consumer\n"


def test_the_example_passes(tmp_path):
    section = PAGE.read_text().partition(HEADING)[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    modules = {re.match(r"# (\w+\.py)\n", block)[1]: block for block in blocks}
    assert sorted(modules) == ["busiest.py", "test_busiest.py"]
    for name, text in modules.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_busiest.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
