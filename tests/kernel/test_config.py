"""The options of the running kernel: which are off, and that no list is no answer."""

from __future__ import annotations

import gzip

import pytest

from umtrace.kernel import config

TEXT = b"CONFIG_BPF=y\n# CONFIG_KPROBES is not set\nCONFIG_EXT4_FS=m\n"
WANTED = ("CONFIG_BPF", "CONFIG_KPROBES", "CONFIG_EXT4_FS", "CONFIG_KPROBE_EVENTS")


@pytest.fixture
def places(tmp_path, monkeypatch):
    found = [tmp_path / "config.gz", tmp_path / "config"]
    monkeypatch.setattr(config, "_places", lambda: iter(found))
    return found


@pytest.mark.parametrize(("place", "data"), [(0, gzip.compress(TEXT, mtime=0)), (1, TEXT)])
def test_what_is_not_set_is_off(places, place, data):
    places[place].write_bytes(data)
    assert config.options_off(WANTED) == ["CONFIG_KPROBES", "CONFIG_KPROBE_EVENTS"]


@pytest.mark.parametrize("data", [b"", b"\x1f\x8bx", gzip.compress(TEXT, mtime=0)[:20], TEXT])
def test_a_list_that_cannot_be_read_is_passed_over(places, data):
    places[0].write_bytes(data)
    assert config.options_off(WANTED) == []
    places[1].write_bytes(TEXT)
    assert config.options_off(WANTED[:2]) == ["CONFIG_KPROBES"]


def test_without_a_list_nobody_knows(places):
    assert config.options_off(WANTED) == []
