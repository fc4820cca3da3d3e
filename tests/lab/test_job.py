"""What goes into a guest."""

from __future__ import annotations

import tarfile

import pytest

from lab import job, project
from lab.job import Job


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("uname -r; exit 3",), "uname -r; exit 3"),
        (("echo", "a b", "$HOME"), "echo 'a b' '$HOME'"),
    ],
)
def test_one_word_is_a_shell_line_and_several_are_arguments(command, line):
    assert job.shell_line(command) == line


def test_the_settings_survive_odd_paths(monkeypatch, tmp_path):
    monkeypatch.setattr(project, "ROOT", tmp_path / "it's here")
    text = job.settings(Job(tracefs=False), "6.1", (132, 40))
    assert f"""LAB_PROJECT='{tmp_path}/it'"'"'s here'\n""" in text
    assert {"LAB_TRACEFS=no", "LAB_MODE=command", "LAB_COLUMNS=132"} <= set(text.splitlines())


def test_the_tar_holds_command_init_and_sources(monkeypatch, tmp_path):
    root = tmp_path / "project"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "m.py").write_text("x = 1\n")
    monkeypatch.setattr(project, "ROOT", root)
    monkeypatch.setattr(project, "sources", lambda: project._walk(root))
    job.write_tar(tmp_path / "job.tar", Job(command=("true",)), "6.1")
    with tarfile.open(tmp_path / "job.tar") as archive:
        names = set(archive.getnames())
        assert {"lab/init", "lab/settings", "lab/command"} <= names
        member = archive.getmember(str(root / "pkg" / "m.py").lstrip("/"))
        assert (member.uid, member.uname) == (0, "root")
        assert archive.getmember("lab/init").mode == 0o755
        assert archive.extractfile("lab/command").read() == b"true\n"


def test_a_folder_is_carried_into_the_guest(monkeypatch, tmp_path):
    monkeypatch.setattr(project, "sources", list)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "tool").write_bytes(b"elf")
    job.write_tar(tmp_path / "job.tar", Job(carried=tmp_path / "given"), "6.1")
    with tarfile.open(tmp_path / "job.tar") as archive:
        assert archive.extractfile("lab/in/tool").read() == b"elf"


def test_without_git_caches_stay_out(tmp_path):
    for name in ("a.py", "__pycache__/a.pyc", ".venv/bin/python", "sub/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(map(str, project._walk(tmp_path))) == ["a.py", "sub/b.py"]


def venv(root, home):
    site = root / ".venv" / "lib" / "python3.11" / "site-packages" / "x-1.dist-info"
    site.mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = {home}\n")
    (site / "RECORD").write_text("x.py,sha256=1,1\n")
    return site


def test_an_environment_over_another_python_is_refused(tmp_path):
    venv(tmp_path, "/opt/python/bin")
    with pytest.raises(project.LabError, match="/opt/python/bin/python3"):
        project._check_python(tmp_path / ".venv")


def test_the_environments_image_follows_what_is_installed(tmp_path):
    assert project.environment_image(tmp_path, tmp_path) is None
    site = venv(tmp_path, "/usr/bin")
    project._check_python(tmp_path / ".venv")
    before = project.environment_image(tmp_path, tmp_path)
    assert project.environment_image(tmp_path, tmp_path) == before
    (site / "RECORD").write_text("x.py,sha256=2,1\n")
    assert project.environment_image(tmp_path, tmp_path) != before


def test_older_images_of_one_environment_are_forgotten(tmp_path):
    for name in ("venv-a-1", "venv-a-2", "venv-b-1", "userland-1"):
        (tmp_path / f"{name}.ext4").touch()
    project._forget_older(tmp_path / "venv-a-2.ext4")
    left = sorted(path.stem for path in tmp_path.iterdir())
    assert left == ["userland-1", "venv-a-2", "venv-b-1"]
