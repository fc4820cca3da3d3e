"""What the ftrace sources send, and what they say that they do not."""

from __future__ import annotations

import re
from pathlib import Path

from umtrace.model.events import Kind
from umtrace.sources import ftrace
from umtrace.sources.ftrace.source import FtraceSource
from umtrace.sources.ftrace.static_source import StaticSource
from umtrace.sources.ftrace.unseen import NOT_SENT


def test_each_kind_is_sent_or_said_to_be_not():
    files = sorted(Path(ftrace.__path__[0]).glob("*.py"))
    text = "\n".join(path.read_text() for path in files if path.name != "unseen.py")
    sent = {kind for kind in Kind if re.search(rf"\bKind\.{kind.name}\b", text)}
    assert set(NOT_SENT) == set(Kind) - sent


def test_the_plan_says_what_is_lost(monkeypatch):
    monkeypatch.setitem(NOT_SENT, Kind.SHARED, "namespaces of shared-sb")
    for source in (FtraceSource(), StaticSource()):
        assert [line.text for line in source.plan() if line.meaning == "shared"] == [
            "lost: namespaces of shared-sb"
        ]
