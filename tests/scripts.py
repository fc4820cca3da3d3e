"""Loads a script of the project as a module, to test what is in it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
TOOLS = Path(__file__).parents[1] / "tools"


def load_script(name):
    """Return scripts/NAME or tools/NAME as a module, without running it."""
    path = next(folder / name for folder in (SCRIPTS, TOOLS) if (folder / name).is_file())
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module  # dataclasses look themselves up there
    loader.exec_module(module)
    return module
