"""Finding the mirror in apt's own set-up."""

from __future__ import annotations

import pytest

from lab import mirror
from lab.errors import LabError
from lab.mirror import Mirror

DEBIAN = """\
http://mirror.example/debian|bookworm|bookworm|main|Debian|Packages
http://mirror.example/debian|bookworm|bookworm|main|Debian|Translations
http://mirror.example/debian|bookworm-updates|bookworm-updates|main|Debian|Packages
http://mirror.example/sec|bookworm-security|bookworm-security|main|Debian|Packages
https://other.example|bookworm|bookworm|stable|Docker|Packages
https://third.example|bookworm|bookworm|main|Artifactory|Packages
"""


def test_main_and_security_are_told_apart():
    found = mirror.parse(DEBIAN, "bookworm")
    assert found == Mirror(
        main="http://mirror.example/debian", security="http://mirror.example/sec"
    )
    assert found.site("trixie-security") == "http://mirror.example/sec"
    assert found.site("trixie-backports") == "http://mirror.example/debian"


def test_an_index_not_yet_fetched_has_no_origin():
    text = "http://m.example/debian|bookworm|$(CODENAME)|main|$(ORIGIN)|Packages\n"
    assert mirror.parse(text, "bookworm").main == "http://m.example/debian"


def test_a_suite_may_be_named_by_its_alias():
    text = "http://m.example/debian|stable|trixie|main|Debian|Packages\n"
    assert mirror.parse(text, "trixie").main == "http://m.example/debian"


def test_without_a_security_source_the_main_one_is_asked():
    text = "http://m.example/debian|bookworm|bookworm|main|Debian|Packages\n"
    assert mirror.parse(text, "bookworm").security == "http://m.example/debian"


def test_a_host_without_debian_is_told_so():
    with pytest.raises(LabError, match="no source for Debian bookworm"):
        mirror.parse("http://u.example|jammy|jammy|main|Ubuntu|Packages\n", "bookworm")


def test_the_source_line_names_its_keyring(tmp_path):
    line = mirror.parse(DEBIAN, "bookworm").source("trixie", tmp_path / "k.gpg")
    assert line == (
        f"deb [arch=amd64 signed-by={tmp_path}/k.gpg] http://mirror.example/debian trixie main"
    )


def test_several_keyrings_become_one(tmp_path, monkeypatch):
    (tmp_path / "a.gpg").write_bytes(b"A")
    (tmp_path / "b.pgp").write_bytes(b"B")
    monkeypatch.setattr(mirror, "KEYRINGS", tmp_path)
    assert mirror.keyring(("a",), tmp_path) == tmp_path / "a.gpg"
    assert mirror.keyring(("a", "b", "absent"), tmp_path).read_bytes() == b"AB"
    with pytest.raises(LabError, match="debian-archive-keyring"):
        mirror.keyring(("absent",), tmp_path)


def test_the_release_is_read_from_os_release(tmp_path):
    file = tmp_path / "os-release"
    file.write_text('NAME="Debian"\nVERSION_CODENAME="trixie"\n')
    assert mirror.codename(file) == "trixie"
    file.write_text("ID=other\n")
    with pytest.raises(LabError, match="needs a Debian host"):
        mirror.codename(file)
