"""The host compiles for a guest; what it compiles is what the guest would have compiled."""

from __future__ import annotations

import json
import os
import socket
import tarfile

import pytest

from lab import compiler, job
from lab.job import Job
from tests.lab.guest import end_of, in_guest
from umtrace.sources.bpf.program_cache import ProgramCache
from umtrace.sources.bpf.text import bpf_directory

OWN = str(job.project.ROOT / compiler.MODULE).lstrip("/")
BESIDE = f"lab/{compiler.OWN}.py"


def packed(tmp_path, **options):
    job.write_tar(tmp_path / "job.tar", Job(**options), "6.1")
    with tarfile.open(tmp_path / "job.tar") as archive:
        # The last member of a name is the one that stays.
        return {m.name: archive.extractfile(m).read() for m in archive if m.name in {OWN, BESIDE}}


def request(text="int one(void *ctx) { return 1; }"):
    return json.dumps({"text": text, "flags": ["-nostdinc", f"-I{bpf_directory()}", "-w"]})


def test_a_guest_asks_the_host_and_has_the_compiler_beside(tmp_path):
    found = packed(tmp_path)
    assert found[BESIDE] == (job.project.ROOT / compiler.MODULE).read_bytes()
    assert b"lab.compiler" in found[OWN]


@pytest.mark.parametrize("option", ["compile_inside", "icount"])
def test_a_guest_that_compiles_inside_is_as_the_project(tmp_path, option):
    found = packed(tmp_path, **{option: True})
    assert BESIDE not in found
    assert found[OWN] == (job.project.ROOT / compiler.MODULE).read_bytes()


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_answer_is_stored_until_the_compiler_changes(tmp_path):
    kept = tmp_path / "programs"
    first = compiler.answer(request(), kept)
    assert set(first["programs"]) == {"one"}
    (stored,) = kept.iterdir()
    before = stored.stat().st_ino
    assert compiler.answer(request(), kept) == first
    assert stored.stat().st_ino == before
    cache = ProgramCache(kept)
    cache.put(stored.stem, first | {"made_by": {"/usr/bin/true": [1, 2, 3]}})
    assert compiler.answer(request(), kept) == first


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_the_host_cannot_compile_is_left_to_the_guest(tmp_path):
    assert compiler.answer(request("int one(void *ctx) { return"), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_guest_is_answered_line_by_line(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "answer", lambda asked, _stored: {"asked": asked})
    with socket.socket(socket.AF_UNIX) as emulator:
        emulator.bind(str(tmp_path / "compiler"))
        emulator.listen()
        with compiler.Server(tmp_path / "compiler", tmp_path / "programs"):
            port, _address = emulator.accept()
            with port, port.makefile("rw") as lines:
                print('{"id": "0", "requ\n', file=lines, flush=True)  # its compiler was killed
                for number in (1, 2):
                    print(json.dumps({"id": str(number), "request": "r"}), file=lines, flush=True)
                    answered = json.loads(lines.readline())
                    assert answered == {"id": str(number), "answer": {"asked": "r"}}
                port.shutdown(socket.SHUT_RDWR)


def test_a_guest_that_never_came_up_is_no_wait(tmp_path):
    with compiler.Server(tmp_path / "not there", tmp_path):
        pass


@pytest.mark.lab
@pytest.mark.long
def test_the_programs_are_those_that_the_guest_would_compile(tmp_path):
    """Byte for byte, for each tier with programs, on the oldest kernel: far from this one."""
    command = (
        "for tier in fentry kprobe tracepoint; do "
        "umtrace record -q --tier $tier -d 0 -o /tmp/$tier.umt || exit 1; done; "
        "cp /var/cache/umtrace/*.compiled $LAB_OUT"
    )
    found = []
    for name, options in (("host", []), ("inside", ["--compile-inside"])):
        out = tmp_path / name
        done = in_guest("5.10", command, timeout_s=1500, out=out, options=options)
        assert done.returncode == 0, end_of(done)
        answers = [json.loads(p.read_bytes().partition(b"\n")[2]) for p in sorted(out.iterdir())]
        found.append(
            [(a["programs"], {n: m["info"] for n, m in a["maps"].items()}) for a in answers]
        )
    assert len(found[0]) == 3
    assert found[0] == found[1]
