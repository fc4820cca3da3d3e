"""Every command with every filter on every kind of recording: an answer, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.readers.conftest import written
from tests.stats.rows import T0_NS, row

BUNDLED = sorted((Path(__file__).parents[2] / "recordings").glob("*.umt"))
KINDS = ("hist", "cdf", "phases", "modes", "heatmap", "timeline", "mounts", "ebusy", "whatif")
COMMANDS = [
    *("report", "report --json", "report --format csv", "report --format markdown"),
    *("report --full", "report --section ebusy --section phases --format csv"),
    *("report --by fstype,comm", "ebusy", "ebusy --json", "hist", "hist --phase rcu --json"),
    *("export", "export --to jsonl", "export --to perfetto -f -o OUT.pftrace"),
    "html -f -o OUT.html",
    *(f"plot -f -o OUT.svg --kind {kind}" for kind in KINDS),
]
FILTERS = [
    *("", "--errno ok", "--errno EBUSY", "--errno EPERM", "--mode sync", "--mode lazy"),
    *("--comm nobody", "--comm umount", "--pid 1", "--cgroup 7", "--container x", "--mntns 1"),
    *("--fstype tmpfs", "--fstype nofs", "--min-latency 1ms", "--min-latency 1000s"),
]
# a picture takes half a second on a slow machine: these filters choose everything, some, nothing
FEW = ["", "--errno EBUSY", "--comm nobody"]
MADE = {
    "no row": [],
    "one row": [row(id=0, t_start=T0_NS, rcu_ns=1000)],
    "failed only": [row(id=n, t_start=T0_NS + n, errno=16, latency_ns=900) for n in range(3)],
    "no begin": [
        row(id=n, t_start=None, latency_bound=None, complete=False, incomplete_why="no-enter")
        for n in range(2)
    ],
    "no begin first": [
        row(id=0, t_start=None, complete=False, incomplete_why="no-enter"),
        row(id=1, t_start=T0_NS, rcu_ns=1000),
    ],
    "nothing known": [dict.fromkeys(row(), None)],
}


def answered(call, tmp_path, path, commands, filters):
    for command in commands:
        for chosen in filters:
            name, *options = command.replace("OUT", str(tmp_path / "out")).split()
            code, out, err = call(name, path, *options, *chosen.split())
            said = f"{command} {chosen}: {code} {out[-300:]} {err}"
            assert code in (0, 2), said
            assert (code == 2) == ("does not see" in err), said
            assert "1970-0" not in out, said


def slow(path):
    few = path.name in ("first-look.umt", "propagation.umt")
    return pytest.param(path, id=path.name, marks=() if few else pytest.mark.slow)


PICTURES = [each for each in COMMANDS if each.startswith(("html", "plot"))]
TEXTS = [each for each in COMMANDS if each not in PICTURES]


@pytest.mark.parametrize("path", [slow(path) for path in BUNDLED])
def test_a_bundled_recording_answers(call, tmp_path, path):
    answered(call, tmp_path, path, TEXTS, FILTERS)
    for chosen in FILTERS:
        assert call("diff", path, path, *chosen.split())[0] in (0, 2), chosen


@pytest.mark.slow
@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.name)
def test_a_bundled_recording_is_drawn(call, tmp_path, path):
    answered(call, tmp_path, path, PICTURES, FEW)


@pytest.mark.parametrize("kind", MADE)
def test_an_odd_recording_answers(call, tmp_path, kind):
    path = written(tmp_path / "r.umt", MADE[kind])
    # the page holds all pictures but the histogram
    pictures = [PICTURES[0], *(each for each in PICTURES if each.endswith("hist"))]
    answered(call, tmp_path, path, [*TEXTS, *pictures], ["", "--errno ok"])
    assert call("diff", path, path)[0] == 0


@pytest.mark.parametrize("kind", MADE)
def test_an_odd_recording_that_was_cut_short_answers(call, tmp_path, kind):
    path = written(tmp_path / "r.umt", MADE[kind], close=False)
    answered(call, tmp_path, path, TEXTS, ["", "--errno ok"])
