"""Where modules are looked for, without the working directory: others may write there.

umtrace runs as root. `python -m` puts the working directory first, and so does an empty
entry of PYTHONPATH: a ``json.py`` there would run as root.
"""

from __future__ import annotations

import os
import site
import sys

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - light
# This package first, as it may have been found in the working directory; then the rest, not there.
_CHILD = (
    "import json, sys; sys.path.insert(0, sys.argv.pop(1)); import umtrace;"
    "sys.path[:] = json.loads(sys.argv.pop(1)); from {module} import main; main()"
)


def search_path() -> list[str]:
    """Return ``sys.path`` without the working directory and what is relative to it.

    What is imported already, as this package, goes on finding its own modules.
    """
    return [path for path in sys.path if path.startswith("/") and not _is_added(path)]


def leave_working_directory() -> None:
    """Import nothing from the working directory from here on."""
    sys.path[:] = search_path()


def python_child(module: str, *words: str) -> list[str]:
    """Return a command that runs ``main`` of a module in another interpreter.

    It finds the same modules as this process, wherever they came from, and no others:
    -I leaves out the working directory and the PYTHON* variables.
    """
    # json takes longer to import than the rest of this module
    import json  # noqa: PLC0415

    code, paths = _CHILD.format(module=module), json.dumps(search_path())
    return [sys.executable, "-I", "-c", code, _OURS, paths, *words]


def _is_added(path: str) -> bool:
    """Whether a place is searched because it is the working directory, and for no other reason."""
    try:
        same = os.path.samestat(os.stat(path), os.stat("."))  # noqa: PTH116 - light
    except OSError:
        return False
    # Who works in site-packages still finds what is installed there.
    return same and path not in {os.path.dirname(os.__file__), *site.getsitepackages()}  # noqa: PTH120
