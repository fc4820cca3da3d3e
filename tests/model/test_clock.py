from __future__ import annotations

import re
from pathlib import Path

import pytest

import umtrace
from umtrace.model.clock import date_time, utc
from umtrace.model.writable import free_path
from umtrace.present.units import clock

#: 2026-10-25 00:30 UTC: 02:30 in Berlin, for the first time of two
NIGHT_NS = 1_792_888_200_123_456_789
_PACKAGE = Path(umtrace.__file__).parent
_DATES = re.compile(r"\b(strftime|localtime|gmtime|ctime|fromtimestamp|astimezone|datetime\.now)\b")


@pytest.fixture(params=["Asia/Tokyo", "Europe/Berlin", "UTC"])
def zone(request, monkeypatch):
    import time

    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_every_text_of_a_time_is_utc():
    assert date_time(NIGHT_NS) == "2026-10-25 00:30:00 UTC"
    assert date_time(NIGHT_NS, ms=True) == "2026-10-25 00:30:00.123 UTC"
    assert clock(NIGHT_NS) == "00:30:00.123"
    assert utc(NIGHT_NS).isoformat() == "2026-10-25T00:30:00.123456+00:00"


@pytest.mark.usefixtures("zone")
def test_the_name_of_a_recording_is_utc_and_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["umtrace-20261025-003000Z.umt", "umtrace-20261025-003000Z-2.umt"]
    for name in names:
        assert free_path(NIGHT_NS) == Path(name)
        Path(name).symlink_to("nowhere")


def test_dates_are_made_in_one_place():
    found = {
        path.relative_to(_PACKAGE).as_posix()
        for path in _PACKAGE.rglob("*.py")
        if _DATES.search(path.read_text("utf-8"))
    }
    assert found == {"model/clock.py"}
