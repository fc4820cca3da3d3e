from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umtrace.present.terminal import (
    WIDTH,
    bar,
    clean,
    encodable,
    render,
    say_wrapped,
    width_of,
    write,
)


@given(st.floats(0, 1), st.integers(1, 60))
def test_bars_are_as_long_as_their_fraction_in_eighths(part, width):
    text = bar(part, width)
    eighths = sum(8 if char == "█" else " ▏▎▍▌▋▊▉".index(char) for char in text)
    assert abs(eighths - part * width * 8) <= 1
    assert len(text) <= width
    assert bool(text) == (part > 0)


@pytest.mark.parametrize("part", [-1, 0, 1, 2])
def test_bars_stay_in_their_width(part):
    assert len(bar(part, 10)) == (10 if part >= 1 else 0)


def test_control_characters_do_not_reach_the_terminal():
    assert clean("a\x1b[31mb\nc\x9bd\u202e") == "a?[31mb?c?d?"


def test_text_that_cannot_be_encoded_keeps_its_width():
    text = "12 µs ─ ██▌▏ · é"
    plain = encodable(text, "ascii")
    assert plain == "12 us - ###  , ?"
    assert encodable(text, None) == plain
    assert encodable(text, "utf-8") == text


def test_writes_what_the_stream_can_take():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write("µ\n", stream)
    stream.flush()
    assert raw.getvalue() == b"u\n"


def test_rendering_has_no_markup_no_colour_and_no_trailing_blanks():
    assert render(["[red]x[/red]   ", "y"]) == "[red]x[/red]\ny\n"


def test_a_pipe_is_80_wide():
    assert width_of(io.StringIO()) == WIDTH == 80


def test_a_sentence_on_a_terminal_cuts_no_path_at_a_hyphen(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    path = "/tmp/umtrace-exercise-10466-fmrbi288/sync/4"
    say_wrapped(f"19 umounts, median latency at most 113 µs; the slowest took 2.13 ms: {path}")
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) == 2
    assert path in lines[1]
