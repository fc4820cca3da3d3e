"""The cache's folder, and the programs of the host."""

from __future__ import annotations

import pytest

from lab import cache, host
from lab.errors import LabError, MissingToolError, NoSpaceError


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("UMTRACE_LAB_CACHE", str(tmp_path / "chosen"))
    assert cache.folder() == tmp_path / "chosen"
    monkeypatch.delenv("UMTRACE_LAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "umtrace-lab"


def test_a_full_disk_is_refused_before_the_work(tmp_path):
    with pytest.raises(NoSpaceError, match=r"x needs 10+ MiB, .*UMTRACE_LAB_CACHE"):
        cache.need(tmp_path, 10**12, "x")
    cache.need(tmp_path, 0, "x")


def test_a_workspace_goes_even_after_a_failure(tmp_path):
    def fail():
        with cache.workspace(tmp_path) as work:
            (work / "file").touch()
            raise LabError("in the middle")

    with pytest.raises(LabError, match="in the middle"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_pointer_moves_to_the_new_target(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "store" / name).mkdir(parents=True)
        cache.point(tmp_path / "6.1", tmp_path / "store" / name)
    assert (tmp_path / "6.1").resolve() == tmp_path / "store" / "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6.1", "store"]


def test_cleaning_keeps_what_is_in_use(tmp_path):
    for name in ("new", "old"):
        (tmp_path / "kernels" / "store" / name).mkdir(parents=True)
    (tmp_path / "userland-1.ext4").write_bytes(bytes(8192))
    cache.clean(tmp_path, keep={tmp_path / "kernels" / "store" / "new"})
    assert [path.name for path in (tmp_path / "kernels" / "store").iterdir()] == ["new"]
    assert not (tmp_path / "userland-1.ext4").exists()


def test_a_missing_program_names_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host, "SBIN", str(tmp_path))
    with pytest.raises(MissingToolError, match="apt-get install qemu-system-x86 "):
        host.find("qemu-system-x86_64")
    assert "kmod" in host.missing_packages()


def test_a_failing_program_is_quoted():
    with pytest.raises(LabError, match=r"(?s)tar failed with status 2.*nowhere"):
        host.run(["tar", "-xf", "/nowhere"])
