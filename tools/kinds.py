"""Write the numbers of the enums in umtrace/model/kinds.py from those of bpf/event.h.

python tools/kinds.py           print which differ; exit status 1 if any does
python tools/kinds.py --write   write these

Names and numbers are the header's; a class and its docstring are written by hand. A test compares
both once more, by a compiler (tests/bpf/test_layout.py).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADER, MIRROR = ROOT / "bpf/event.h", ROOT / "umtrace/model/kinds.py"
#: what the header has before each name
PREFIX = {
    "um_origin": "UM_BY_",
    "um_on_stack": "UM_ON_",
    "um_kind": "UM_",
    "um_name_kind": "UM_NAME_",
    "um_loss": "UM_LOSS_",
    "um_bell": "UM_BELL_",
    "um_unseen": "UM_UNSEEN_",
    "um_grace_period": "UM_GP_",
    "um_not_held": "UM_HELD_",
    "um_exit": "UM_EXIT_",
    "um_returned": "UM_RETURNED_",
    "um_failed": "UM_FAILED_",
}
_CLASS = re.compile(
    r'(class \w+\(Int(?:Enum|Flag)\):\n    """[^"]*``enum (um_\w+)``[^"]*"""\n\n)'
    r"((?:    [A-Z]\w* = -?\w+\n)*)"
)


def members(enum: str, header: str) -> str:
    """Return the lines of a class for an enum of the header; a last one that counts is left out."""
    body = re.search(rf"^enum {enum} {{(.*?)^}};", header, re.MULTILINE | re.DOTALL)
    if body is None:
        raise ValueError(f"event.h has no enum {enum}")
    code = re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL)
    found = re.findall(rf"\b{PREFIX[enum]}(\w+) = (-?\w+)", code)
    return "".join(f"    {name} = {number}\n" for name, number in found if name != "MAX")


def mirrored(text: str, header: str) -> str:
    """Return ``kinds.py`` with the members of the header."""
    return _CLASS.sub(lambda found: found[1] + members(found[2], header), text)


def stale(*, write: bool = False) -> list[str]:
    """Return the enums that are not as in the header, and write them if asked to."""
    text, header = MIRROR.read_text(), HEADER.read_text()
    found = [c[2] for c in _CLASS.finditer(text) if c[3] != members(c[2], header)]
    if write and found:
        MIRROR.write_text(mirrored(text, header))
    return found


if __name__ == "__main__":
    differing = stale(write="--write" in sys.argv)
    print(*differing, sep="\n")
    sys.exit(bool(differing) and "--write" not in sys.argv)
