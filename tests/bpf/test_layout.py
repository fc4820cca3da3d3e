"""The numpy dtypes against the header, as a C compiler lays it out."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.scripts import load_script
from umtrace.model import kinds
from umtrace.model.events import (
    BIRTH_DTYPE,
    BIRTH_TEXT,
    EVENT_DTYPE,
    NAME_DTYPE,
    NAME_TEXT,
    Exit,
    Failed,
    GracePeriod,
    Kind,
    Loss,
    NameKind,
    OnStack,
    Origin,
    Returned,
    Unseen,
)
from umtrace.sources.bpf.open_tasks import EXITING, FIELDS, OPENING, task_dtype
from umtrace.sources.bpf.text import bpf_directory, program_text

HEADER = bpf_directory() / "event.h"
STRUCTS = {"um_event": EVENT_DTYPE, "um_name": NAME_DTYPE, "um_birth": BIRTH_DTYPE}
ENUMS = {
    "um_origin": Origin,
    "um_on_stack": OnStack,
    "um_kind": Kind,
    "um_name_kind": NameKind,
    "um_loss": Loss,
    "um_bell": kinds.Bell,
    "um_unseen": Unseen,
    "um_grace_period": GracePeriod,
    "um_not_held": kinds.NotHeld,
    "um_exit": Exit,
    "um_returned": Returned,
    "um_failed": Failed,
}
PREFIX = load_script("kinds.py").PREFIX
_C_TYPES = {"u8": "char", "u16": "short", "u32": "int", "u64": "long long"}
#: names of ``model.kinds``; in the header with UM_ before them
CONSTANTS = (
    "FOREIGN",
    "NESTED",
    "PUT_EARLIER",
    "PUT_EXITING",
    "PUT_FIRST_EXEC",
    "PUT_SETTLED",
    "PUT_WALKED",
    "ARMING_SHIFT",
    "ARMING_NS_SHIFT",
    "ARMING_MASK",
    "WAITS_SHIFT",
    "WALKERS_WATCHED",
    "IS_TARGET",
    "LOCKED_BY",
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Offsets, sizes and enum values printed by a program made from the header."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "a C compiler is needed: apt-get install gcc"
    lines = [
        f'printf("{struct}.{field} %zu %zu\\n", offsetof(struct {struct}, {field}), '
        f"sizeof(((struct {struct} *)0)->{field}));"
        for struct, dtype in STRUCTS.items()
        for field in dtype.names
    ]
    lines += [f'printf("{s} %zu\\n", sizeof(struct {s}));' for s in STRUCTS]
    for enum in ENUMS:
        lines += [f'printf("{name} %d\\n", {name});' for name in enumerators(enum)]
    lines += [f'printf("{n} %llu\\n", (unsigned long long)UM_{n});' for n in CONSTANTS]
    directory = tmp_path_factory.mktemp("layout")
    source = directory / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n"
        f'#include "{HEADER}"\nint main(void) {{ {" ".join(lines)} return 0; }}\n'
    )
    subprocess.run([compiler, "-Wall", "-Werror", "-o", directory / "layout", source], check=True)
    output = subprocess.run([directory / "layout"], check=True, capture_output=True, text=True)
    return dict(line.split(" ", 1) for line in output.stdout.splitlines())


def enumerators(enum):
    body = re.search(rf"enum {enum} {{(.*?)}};", HEADER.read_text(), re.DOTALL)[1]
    names = re.findall(r"^\s*(UM_\w+)\s*=", body, re.MULTILINE)
    return [name for name in names if not name.endswith("_MAX")]


def test_the_entry_of_a_task_has_the_fields_that_are_read(tmp_path):
    """Compiles struct um_task, which is between macros of bcc."""
    text = (bpf_directory() / "task.h").read_text()
    begin, end = text.index("enum um_phase"), text.index("#endif")
    lines = [
        f'printf("{name} %zu %zu\\n", offsetof(struct um_task, {name}),'
        f" sizeof(((struct um_task *)0)->{name}));"
        for name in FIELDS
    ]
    lines += [f'printf("{name} %d\\n", UM_{name});' for name in ("OPENING", "EXITING")]
    source = tmp_path / "task.c"
    types = "".join(f"typedef unsigned {c} {u};\n" for u, c in _C_TYPES.items())
    source.write_text(
        f"#include <stddef.h>\n#include <stdio.h>\n{types}{text[begin:end]}"
        f"int main(void) {{ {' '.join(lines)} return 0; }}\n"
    )
    subprocess.run(["cc", "-o", tmp_path / "task", source], check=True)
    output = subprocess.run([tmp_path / "task"], check=True, capture_output=True, text=True).stdout
    found = dict(line.split(" ", 1) for line in output.splitlines())
    assert (int(found.pop("OPENING")), int(found.pop("EXITING"))) == (OPENING, EXITING)
    dtype = task_dtype(4096)
    assert found == {
        name: f"{dtype.fields[name][1]} {dtype.fields[name][0].itemsize}" for name in FIELDS
    }


@pytest.mark.parametrize("struct", STRUCTS)
def test_offsets_and_sizes(compiled, struct):
    dtype = STRUCTS[struct]
    assert int(compiled[struct]) == dtype.itemsize
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        assert compiled[f"{struct}.{name}"] == f"{offset} {field.itemsize}"


def test_every_field_of_the_header_is_mirrored():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    for struct, dtype in STRUCTS.items():
        body = re.search(rf"struct {struct} {{(.*?)}};", text, re.DOTALL)[1]
        assert re.findall(r"(\w+)(?:\[\w+\])?;", body) == list(dtype.names)


@pytest.mark.parametrize("enum", ENUMS)
def test_enum_values(compiled, enum):
    in_header = {name.removeprefix(PREFIX[enum]): int(compiled[name]) for name in enumerators(enum)}
    assert in_header == {member.name: member.value for member in ENUMS[enum]}


def test_kinds_are_written_from_the_header():
    tool = load_script("kinds.py")
    assert tool.stale() == [], "python tools/kinds.py --write"
    mirror = tool.MIRROR.read_text()
    other = re.sub(r"^    ([A-Z]\w*) = -?\w+$", r"    \1 = 99", mirror, flags=re.M)
    assert other != mirror
    assert tool.mirrored(other, tool.HEADER.read_text()) == mirror


def test_every_enum_is_compared():
    defined = re.findall(r"^enum (um_\w+) {", HEADER.read_text(), re.MULTILINE)
    assert sorted(defined) == sorted(ENUMS)


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(compiled, name):
    assert int(compiled[name]) == getattr(kinds, name)


def test_every_constant_is_compared():
    defined = re.findall(r"^#define UM_(\w+)[ \t]+\S", HEADER.read_text(), re.MULTILINE)
    assert sorted(defined) == sorted((*CONSTANTS, "NAME_TEXT", "BIRTH_TEXT"))


def test_an_event_takes_64_bytes_and_a_name_is_aligned():
    assert EVENT_DTYPE.itemsize == 64
    assert NAME_DTYPE.itemsize % 8 == 0
    assert NAME_DTYPE["text"].itemsize == NAME_TEXT
    assert BIRTH_DTYPE["path"].itemsize == BIRTH_TEXT


def test_each_kind_is_sent_and_read():
    """A kind that is in the enum alone is forgotten somewhere."""
    sent = re.sub(r"/\*.*?\*/", "", program_text(), flags=re.S).partition('#line 1 "emit.h"')[2]
    package = bpf_directory().parent / "umtrace"
    folders = ("correlate", "ebusy", "query")
    readers = [path for folder in folders for path in (package / folder).glob("*.py")]
    read = "\n".join(path.read_text() for path in readers)
    for kind in Kind:
        # SKIPPED is made by the reader of the rings: it says what was not sent.
        assert kind is Kind.SKIPPED or re.search(rf"\bUM_{kind.name}\b", sent), kind
        assert re.search(rf"\bKind\.{kind.name}\b", read), kind
