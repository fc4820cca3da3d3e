"""What the kernel's tables say is read once in a boot, and never taken for another one's."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from umtrace.kernel import btf
from umtrace.kernel.symbols import Symbols
from umtrace.probes.capabilities import Capabilities
from umtrace.sources.bpf import kernel_tables
from umtrace.sources.bpf.program_cache import TABLES, ProgramCache

AROUND = "a" * 32
FOUND = kernel_tables.Tables(
    Symbols([0x1000, 0x1800], ["path_umount", "?"], {"unmounted": 0x9000}),
    Capabilities(
        symbols=frozenset({"path_umount"}), btf_functions=frozenset(), members={"mount.mnt": 32}
    ),
    {"UM_OFF_MOUNT_MNT": 32},
    {"path_umount": 7, "mntput": 0},
)


@pytest.fixture
def boot(monkeypatch, tmp_path):
    """Return the file that tells one boot from another."""
    path = tmp_path / "boot_id"
    path.write_text("1\n")
    monkeypatch.setattr(kernel_tables, "_BOOT", path)
    types = tmp_path / "vmlinux"
    types.write_text("types")
    monkeypatch.setattr(btf, "VMLINUX", types)
    monkeypatch.setattr(kernel_tables, "preemptible", lambda: False)
    return path


@pytest.fixture
def reads(monkeypatch, boot):
    """Return how often the tables were read, as a list."""
    done = []
    monkeypatch.setattr(kernel_tables, "read", lambda: done.append(1) or FOUND)
    return done


@pytest.fixture
def kept(tmp_path):
    return ProgramCache(tmp_path / "cache", TABLES)


def same(one, other):
    return replace(one, symbols=None) == replace(other, symbols=None) and (
        one.symbols.to_dict() == other.symbols.to_dict()
    )


def test_they_are_read_once(reads, kept):
    first, second = (kernel_tables.load_cached(AROUND, kept) for _ in range(2))
    assert same(first, FOUND)
    assert same(second, FOUND)
    assert second.symbols.span("path_umount") == (0x1000, 0x1800)
    assert second.symbols.data_address("unmounted") == 0x9000
    assert len(reads) == 1


def test_another_boot_kernel_or_btf_is_read_again(reads, kept, boot):
    kernel_tables.load_cached(AROUND, kept)
    kernel_tables.load_cached("b" * 32, kept)
    boot.write_text("2\n")
    kernel_tables.load_cached(AROUND, kept)
    btf.VMLINUX.write_text("what lies there in another mount namespace")
    kernel_tables.load_cached(AROUND, kept)
    assert len(reads) == 4


def test_another_reader_reads_again(reads, kept, monkeypatch, tmp_path):
    kernel_tables.load_cached(AROUND, kept)
    changed = tmp_path / "btf.py"
    changed.write_text(Path(btf.__file__).read_text() + "# mended\n")
    (path,) = kept.folder.iterdir()
    assert btf.__file__ in path.read_text()
    monkeypatch.setattr(btf, "__file__", str(changed))
    kept.clear()
    kernel_tables.load_cached(AROUND, kept)
    changed.write_text("# mended again\n")
    kernel_tables.load_cached(AROUND, kept)
    assert len(reads) == 3


def test_whether_it_preempts_itself_is_asked_anew(reads, kept, monkeypatch):
    kernel_tables.load_cached(AROUND, kept)
    monkeypatch.setattr(kernel_tables, "preemptible", lambda: True)
    assert kernel_tables.load_cached(AROUND, kept).offer.preemptible
    assert len(reads) == 1


@pytest.mark.parametrize(
    "found",
    [replace(FOUND, symbols=Symbols([], [])), replace(FOUND, no_btf="/x does not exist")],
    ids=["hidden addresses", "no BTF"],
)
def test_what_may_be_there_next_time_is_not_kept(kept, boot, monkeypatch, found):
    monkeypatch.setattr(kernel_tables, "read", lambda: found)
    kernel_tables.load_cached(AROUND, kept)
    assert not kept.names()


def test_a_boot_that_cannot_be_told_is_not_kept(reads, kept, boot):
    boot.unlink()
    assert same(kernel_tables.load_cached(AROUND, kept), FOUND)
    assert not kept.names()


def test_a_damaged_file_is_read_again_and_replaced(reads, kept):
    kernel_tables.load_cached(AROUND, kept)
    (path,) = kept.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert same(kernel_tables.load_cached(AROUND, kept), FOUND)
    assert same(kernel_tables.load_cached(AROUND, kept), FOUND)
    assert len(reads) == 2


def test_the_real_ones_survive():
    found = kernel_tables.read()
    assert same(kernel_tables._decoded(kernel_tables._encoded(found)), replace(found, no_btf=""))


def test_every_process_looks_for_the_same_key():
    """Python orders a set by hashes of strings, which are other ones in each process."""
    program = "from umtrace.sources.bpf import kernel_tables; print(kernel_tables._key('a'))"
    keys = [
        subprocess.run(
            [sys.executable, "-P", "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert len({*keys}) == 1
