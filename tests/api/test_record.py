from __future__ import annotations

import re
import subprocess
import sys

import pytest

import umtrace
from tests.builders import Stream
from umtrace.model.clock import ClockPair
from umtrace.model.errors import NoTierError
from umtrace.sources.fake import FakeSource


@pytest.fixture
def fake(monkeypatch):
    """Delivers one batch, then nothing until it is stopped."""
    batch = Stream().umount(7, 5000).umount(8, 9000).batch()
    clock = ClockPair(0, 1_700_000_000_000_000_000)
    source = FakeSource([batch], clock=clock, endless=True)
    monkeypatch.setattr("umtrace.sources.select.open_source", lambda *_a, **_k: source)


def test_records_while_the_block_runs(fake, tmp_path):
    with umtrace.record(tmp_path / "rec.umt", comm="umount") as rec:
        inside = rec.meta.state
    assert (inside, rec.meta.state) == ("open", "closed")
    assert len(rec.umounts) == 2
    assert rec.meta.filters == {"comm": ["umount"]}


def test_ends_with_the_block_that_fails(fake, tmp_path):
    with pytest.raises(ZeroDivisionError), umtrace.record(tmp_path / "rec.umt"):
        _ = 1 / 0
    assert umtrace.load(tmp_path / "rec.umt").meta.state == "closed"


def test_an_error_of_the_recorder_is_raised_here(monkeypatch, tmp_path):
    def refuse(*_args, **_kwargs):
        raise NoTierError("nothing works here")

    monkeypatch.setattr("umtrace.sources.select.open_source", refuse)
    with pytest.raises(NoTierError), umtrace.record(tmp_path / "rec.umt"):
        pytest.fail("the block ran")


def test_the_default_name_has_the_date(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with umtrace.record() as rec:
        pass
    assert rec.path.name.startswith("umtrace-")
    assert rec.path.is_dir()


@pytest.mark.kernel
def test_records_real_umounts(tmp_path):
    command = [sys.executable, "-m", "umtrace", "exercise", "--sync", "7", "--lazy", "3"]
    with umtrace.record(tmp_path / "rec.umt") as rec:
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    place = re.search(r"mounts under (\S+)", said)[1]
    ours = rec.umounts[rec.umounts["path"].fillna("").str.startswith(place)]
    assert ours["mode"].value_counts().to_dict() == {"sync": 7, "lazy": 3}
