"""Every screen about a recording, as it is: at 80 and 120 columns, no line is wider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.present.screens import screen
from tests.stats.rows import T0_NS, container_host, row

_TOP = Path(__file__).parents[2]
_BUNDLED = ("first-look", "lab-6.12", "lab-6.12-rt", "lab-ebusy", "propagation", "storm")
_WIDTHS = (80, 120)
#: the default screen of each command that reads one recording
_COMMANDS = ("report", "report --full", "hist", "ebusy", "ebusy --evidence", "teardowns")
_MOST_LINES = 60  # of a screen that is kept

MS = 1_000_000


def _rows_of_a_tier(tier, *unseen, **unknown):
    """Rows in which what a tier cannot see is null; unseen phases are in `other`."""
    nulls = dict.fromkeys(unseen)
    return [
        {
            **each,
            "tier": tier,
            "latency_bound": "upper",
            "other_ns": each["other_ns"] + sum(each[name] or 0 for name in unseen),
            **nulls,
            **unknown,
        }
        for each in container_host(30)
    ]


#: recordings of unusual rows, by name
MADE = {
    "empty": [],
    "one": [row(id=1, t_start=T0_NS, rcu_ns=2 * MS, other_ns=MS, lookup_ns=1000)],
    "one-of-unknown-times": [row(id=1, t_start=T0_NS)],
    "only-failures": [
        row(id=n, t_start=T0_NS + n * MS, errno=16 if n % 3 else 22, rcu_ns=0, other_ns=5000 + n)
        for n in range(12)
    ],
    "incomplete": [
        row(id=n, t_start=T0_NS + n * MS, rcu_ns=MS, other_ns=MS)
        if n % 4
        else row(
            id=n, t_start=T0_NS, errno=None, mode=None, complete=False, incomplete_why="lost-events"
        )
        for n in range(20)
    ],
    "tracepoint": _rows_of_a_tier("tracepoint", "lookup_ns", "lock_ns", "tree_ns", "put_ns"),
    "ftrace-static": _rows_of_a_tier(
        "ftrace-static", "lookup_ns", "tree_ns", "put_ns", path=None, fstype=None, rcu_kind=None
    ),
    "partly-known": [
        row(id=n, t_start=T0_NS + n * MS, rcu_ns=MS, other_ns=MS, lock_ns=None if n % 2 else 1000)
        for n in range(9)
    ],
    "large-numbers": [
        row(id=n, t_start=T0_NS + n, rcu_ns=(n + 1) * 10**13, other_ns=1, comm="x" * 15)
        for n in range(3)
    ],
}


def _fitting(words, width):
    """Return a screen; messages on stderr, which a terminal wraps, follow it."""
    out, err, status = screen(words, width)
    assert (words, status) == (words, 0)
    assert [line for line in out.splitlines() if len(line) > width] == [], words
    return out + err


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("name", _BUNDLED)
def test_screens_of_the_bundled_recordings(golden, monkeypatch, name, width):
    monkeypatch.chdir(_TOP)
    parts = []
    for command in (*_COMMANDS, "trace --replay"):
        words = [*command.split(), f"recordings/{name}.umt"]
        text = _fitting(words, width)
        lines = text.splitlines()
        left = len(lines) - _MOST_LINES
        rest = [f"[{left} lines more]"] if left > 0 else []
        parts += [f"$ umtrace {' '.join(words)}", *lines[:_MOST_LINES], *rest, ""]
    golden(f"screens/{name}-{width}.txt", "\n".join(parts))


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("name", MADE)
def test_screens_of_unusual_rows(golden, recording, monkeypatch, tmp_path, name, width):
    recording(MADE[name], name="made.umt")
    monkeypatch.chdir(tmp_path)
    parts = []
    for command in (*_COMMANDS, "report --by comm,container,errno --full"):
        words = [*command.split(), "made.umt"]
        text = _fitting(words, width)
        parts += [f"$ umtrace {' '.join(words)}", *text.splitlines(), ""]
    golden(f"screens/made-{name}-{width}.txt", "\n".join(parts))


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize(
    "words",
    [
        "diff recordings/lab-6.12.umt recordings/lab-6.12-rt.umt",
        "diff recordings/first-look.umt recordings/storm.umt",
        "fleet report recordings/lab-6.12.umt recordings/lab-6.12-rt.umt recordings/storm.umt",
        "ebusy recordings/lab-ebusy.umt 3",
        "--help",
        *[f"{name} --help" for name in ("report", "record", "ebusy", "fleet", "import", "why")],
    ],
)
def test_other_screens(golden, monkeypatch, words, width):
    monkeypatch.chdir(_TOP)
    text = _fitting(words.split(), width)
    name = re.sub(r"[^a-z0-9]+", "-", words.replace("recordings/", "").replace(".umt", "")).strip(
        "-"
    )
    golden(f"screens/{name}-{width}.txt", text)


@pytest.mark.parametrize("name", [*_BUNDLED, *MADE])
def test_the_shares_of_a_table_of_phases_are_all_of_the_time(recording, monkeypatch, name):
    """They add up to 100 %, but for rounding, or a `-` has its reason below the table."""
    if name in MADE:
        path = recording(MADE[name])
    else:
        monkeypatch.chdir(_TOP)
        path = f"recordings/{name}.umt"
    text, _, _ = screen(["report", path, "--section", "phases"], 80)
    for table in re.split(r"\n(?=Phases of )", text)[1:]:
        title, *lines = table.split("\n\n")[0].splitlines()
        assert title.endswith(("shares of their time", "none seen by this tier"))
        cells = [match for line in lines[2:] if (match := re.search(r" ([<>]?[\d.]+) %", line))]
        whole = sum(0 if c[1].startswith("<") else float(c[1].lstrip(">")) for c in cells)
        if "without a share" in table or not cells:
            continue
        assert abs(whole - 100) <= 0.06 * len(cells), table
