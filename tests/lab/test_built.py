"""Kernels that are built here: what they are made of, and what is said where they are not."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from lab import built, cache, own, ready, table
from lab.archive import Archive
from lab.errors import LabError
from tests.lab.guest import end_of, in_guest

DESIGNS = ("A", "B", "B2", "C", "D", "N")


def test_each_kernel_has_files_of_options():
    known = table.load().built
    assert set(known.kernels) == {"designs", "designs-rt"}
    for files in known.kernels.values():
        options = "".join((built.FOLDER / file).read_text() for file in files)
        names = re.findall(r"^(CONFIG_\w+)=", options, re.MULTILINE)
        assert len(names) == len(set(names))
    assert "CONFIG_PREEMPT_RT=y" in (built.FOLDER / "rt.config").read_text()


def test_the_options_are_those_that_a_guest_needs():
    options = (built.FOLDER / "base.config").read_text()
    known = table.load()
    wanted = {*known.own_options, *known.own_modules.values()}
    # These are set by others: architecture and default.
    absent = {name for name in wanted if f"CONFIG_{name}=y" not in options}
    assert absent <= {"64BIT", "BINFMT_ELF"}


def test_every_file_of_the_kernel_has_its_licence():
    for file in (built.PATCH, *built.SOURCES):
        assert "SPDX-License-Identifier: GPL-2.0" in file.read_text().splitlines()[0]


def test_the_switch_has_every_design():
    source = built.SOURCES[0].read_text()
    for design in DESIGNS:
        assert f'[UMD_{design}] = "{design}"' in source


def test_a_kernel_that_is_not_built_says_how_to_build_it(tmp_path):
    with pytest.raises(LabError, match="designs is not built yet: make lab-designs"):
        ready.named(tmp_path, table.load(), "designs")
    assert built.version(tmp_path, "designs") is None


def test_a_kernel_that_is_built_is_not_fetched():
    with pytest.raises(LabError, match="designs-rt is built here, not fetched"):
        table.load().kernel("designs-rt")


def test_the_kept_part_of_a_build_is_a_tree_that_boots(tmp_path):
    """What `_keep` copies is all that a build tree is asked for."""
    assert set(built.KEPT) >= {"include/config/kernel.release", "include/config/auto.conf"}
    tree, kept = tmp_path / "build", tmp_path / "kept"
    for name in built.KEPT:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    built._keep(tree, kept, "6.12.1-1")
    assert all((kept / name).read_text() == name for name in built.KEPT)
    assert (kept / "version").read_text() == "6.12.1-1\n"


def test_an_option_that_the_kernel_did_not_take_is_named(tmp_path):
    config = tmp_path / ".config"
    config.write_text("CONFIG_SMP=y\n# CONFIG_VT is not set\n")
    built._check(config, "CONFIG_SMP=y\nCONFIG_VT=n\n")
    with pytest.raises(LabError, match="lacks CONFIG_FUSE_FS=y"):
        built._check(config, "CONFIG_SMP=y\nCONFIG_FUSE_FS=y\n")


@pytest.mark.lab
@pytest.mark.long
def test_the_patch_fits_the_newest_source(tmp_path):
    if not shutil.which("patch"):
        pytest.skip("patch is not installed: apt-get install patch")
    root, known = cache.folder(), table.load()
    archive = Archive(root, known)
    with cache.lock(root):
        archive.update()
        newest = archive.newest(known.built.source, known.built.suites)
    built._fetch(tmp_path, archive, known.built.source, newest)
    undo = ["patch", "-p1", "-R", "--dry-run", "-i", built.PATCH]
    done = subprocess.run(
        undo, check=False, cwd=tmp_path / "source", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "offset" not in done.stdout
    assert "fuzz" not in done.stdout


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.parametrize("name", table.load().built.kernels)
def test_a_built_kernel_boots_and_turns_its_switch(name):
    try:
        built.find(cache.folder(), name)
    except LabError as error:
        pytest.skip(str(error))
    turn = "for d in A B B2 C D N; do echo $d > $F; cat $F; done; ! echo X 2>/dev/null > $F; cat $F"
    done = in_guest(name, f"F=/proc/sys/fs/umount-design; uname -r; cat $F; {turn}")
    assert done.returncode == 0, end_of(done)
    release, *said = done.stdout.split()
    assert release.endswith(f"-{name}")
    assert said == ["A", *DESIGNS, "N"]
    assert not own.is_path(name)


def test_clean_keeps_what_was_built_last(tmp_path):
    older, newest = (tmp_path / "built/store" / name for name in ("designs-old", "designs-new"))
    for folder in (older, newest):
        (folder / "include").mkdir(parents=True)
    cache.point(tmp_path / "built/designs", newest)
    assert built.in_use(tmp_path) == {newest.resolve()}
    cache.clean(tmp_path, keep=ready.in_use(tmp_path, table.load()))
    assert not older.exists()
    assert newest.exists()
