"""Every BPF source opens and compiles alone, and config.h lists what Python gives."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from umtrace.probes import constants
from umtrace.probes.stacks import FUNCTIONS
from umtrace.sources.bpf.text import bpf_directory, program_text

BPF = bpf_directory()
FILES = sorted(path.name for path in BPF.glob("*.[ch]"))
#: how handlers are attached: kprobes, fentry, kprobes with fexit on hot returns
PLACEMENTS = ("UM_KPROBE", "UM_FENTRY", "UM_FENTRY_WALKS")
NAME = re.compile(r"\bUM_\w+")
#: what config.h says of a constant, required or optional
LISTED = re.compile(r"^(?:#ifndef| \*  ) (UM_\w+)", re.M)


def test_the_folder_has_the_programs():
    assert {"umtrace.c", "umount.c", "tree.c", "config.h"} <= set(FILES)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_compiles_alone(name, placement):
    flags = (BPF / "compile_flags.txt").read_text().split()
    compiler = shutil.which("cc") or shutil.which("clang")
    assert compiler, "a C compiler is needed: apt-get install gcc"
    command = [compiler, "-fsyntax-only", "-Werror", f"-D{placement}", *flags, name]
    done = subprocess.run(command, cwd=BPF, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def listed():
    return set(LISTED.findall((BPF / "config.h").read_text()))


def test_config_lists_each_constant_that_the_programs_use():
    text = re.sub(r"/\*.*?\*/", "", program_text(), flags=re.S)
    text = re.sub(r'^#error.*|"[^"\n]*"', "", text, flags=re.M)
    defined = set(re.findall(r"#define (UM_\w+)", text))
    for body in re.findall(r"\benum um_\w+ \{(.*?)\}", text, re.S):
        defined |= set(NAME.findall(body))
    pasted = {"UM_PARM"}  # UM_PARM##n
    guards = {"UMTRACE_"}
    used = {name for name in NAME.findall(text) if not name.startswith(tuple(guards))}
    assert used - defined - pasted <= listed()
    assert listed() <= used | {"UM_CLAIM_ARGS"}


def test_config_lists_each_constant_that_python_gives():
    given = set(FUNCTIONS) | set(constants.MEMBERS) | set(constants.IDENTITY)
    given |= set(constants.PLACE) | {name for group in constants.EBUSY_GROUPS for name in group}
    assert given <= listed()


def test_a_required_constant_that_is_missing_is_named():
    text = '#define BPF_HASH\n#include "config.h"\n'
    compiler = shutil.which("cc") or shutil.which("clang")
    command = [compiler, "-E", "-xc", f"-I{BPF}", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "UM_MAX_TASKS is missing: operations followed at the same time" in done.stderr


def test_each_file_is_once_in_the_text():
    text = program_text()
    assert re.findall(r'^#include "(.*)"', text, re.M) == ["editor.h"]  # never read: bcc is there
    for name in set(FILES) - {"editor.h"}:
        assert text.count(f'#line 1 "{name}"') == 1, name
    assert "UM_EDITOR_MAP" not in text
