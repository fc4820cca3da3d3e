"""What was not seen is neither a match nor a mismatch, and has no place in time and no share."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import umtrace
from tests.readers.conftest import written
from tests.stats.rows import T0_NS, row
from umtrace.model.errors import UsageError
from umtrace.stats.filters import RowFilter
from umtrace.stats.unseen import check_seen

RECORDINGS = Path(__file__).parents[2] / "recordings"
COMMANDS = ["report", "hist", "ebusy", "export", "plot -f -o OUT.svg", "html -f -o OUT.html"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_filter_on_what_the_tier_does_not_see_is_refused(call, tmp_path, command):
    name, *options = command.replace("OUT", str(tmp_path / "out")).split()
    path = RECORDINGS / "first-look.umt"
    code, out, err = call(name, path, *options, "--fstype", "tmpfs")
    assert (code, out) == (2, "")
    assert "tier tracepoint does not see it" in err
    assert not list(tmp_path.iterdir())
    assert call("diff", path, path, "--fstype", "tmpfs")[0] == 2
    assert call(name, path, *options, "--mode", "sync")[0] == 0


ROWS = [
    row(id=0, t_start=T0_NS, rcu_ns=5),
    row(id=1, t_start=T0_NS + 1, rcu_ns=5, fstype=None, errno=None, pid=None),
    row(id=2, t_start=T0_NS + 2, rcu_ns=5, fstype="ext4", mode=None, origin="ns-exit"),
]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--fstype tmpfs", "1 of 3 rows has no file system type: left out"),
        ("--errno ok", "1 of 3 rows has no outcome: left out"),
        ("--pid 100", "1 of 3 rows has no process id: left out"),
        ("--mode sync", ""),
        ("--container x", "no row of this recording has a cgroup"),
    ],
)
def test_rows_that_nobody_can_decide_are_counted(call, tmp_path, options, words):
    path = written(tmp_path / "r.umt", ROWS)
    for command in ("report", "ebusy", "export", "hist", "plot -o OUT.svg -f"):
        name, *more = command.replace("OUT", str(tmp_path / "out")).split()
        _, out, err = call(name, path, *more, *options.split())
        assert words in out + err, command
        assert bool(words) == ("left out" in out + err or "no row of this" in err), command


def test_python_says_it_too(tmp_path):
    rec = umtrace.load(RECORDINGS / "first-look.umt")
    with pytest.raises(UsageError, match="tier tracepoint does not see it"):
        rec.read_umounts(fstype="tmpfs")
    for where in ({"pid": "x"}, {"pid": 1.5}, {"errno": [None]}, {"comm": 7}, {"mntns": "a"}):
        with pytest.raises(UsageError):
            rec.read_umounts(**where)
    assert len(rec.read_umounts(pid="28483")) == len(rec.read_umounts(pid=28483)) > 0
    some = umtrace.load(written(tmp_path / "r.umt", ROWS))
    with pytest.warns(UserWarning, match="1 of 3 rows has no process id"):
        assert len(some.read_umounts(pid=100)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(some.read_umounts(comm="umount")) == 3


def test_a_recorder_refuses_what_its_tier_cannot_match():
    with pytest.raises(UsageError, match="tier tracepoint, which does not see the file system"):
        check_seen(RowFilter(fstype=("tmpfs",)), "tracepoint")
    check_seen(RowFilter(fstype=("tmpfs",)), "fentry")
    check_seen(RowFilter(comm=("x",)), "tracepoint")


@pytest.mark.parametrize("many", [3, 450])
def test_rows_without_a_begin_are_counted_not_drawn_in_1970(call, tmp_path, many):
    lost = [row(id=n, t_start=None, latency_ns=10, complete=False) for n in range(2)]
    known = [row(id=9 + n, t_start=T0_NS + n * 1000, rcu_ns=900) for n in range(many)]
    path = written(tmp_path / "r.umt", [*lost, *known])
    for kind in ("timeline", "heatmap"):
        target = tmp_path / f"{kind}.svg"
        assert call("plot", path, "--kind", kind, "-o", target)[0] == 0
        text = target.read_text()
        assert "2026-01-01" in text or "00:00:00" in text or "without a known begin" in text
        assert "1970-0" not in text
    from umtrace.analysis.figures import figure_of
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording

    chosen = Selection(Recording.open(path))
    assert chosen.extent()[1] == T0_NS
    for kind in ("timeline", "heatmap"):
        axes = figure_of(kind, chosen).axes[0]
        assert "2 umounts without a known begin not drawn" in axes.get_xlabel()
    code, _, err = call("export", path, "--to", "perfetto", "-f", "-o", tmp_path / "t.pftrace")
    assert code == 0
    assert "2 umounts have no known begin or latency: not in the trace" in err
    assert call("html", path, "-o", tmp_path / "p.html")[0] == 0
    assert "1970-0" not in (tmp_path / "p.html").read_text()


def test_shares_add_up_or_are_unknown(call, tmp_path):
    known = [row(id=n, t_start=T0_NS + n, rcu_ns=600, other_ns=400) for n in range(99)]
    alone = row(id=99, t_start=T0_NS, latency_ns=1000, rcu_ns=100, lock_ns=365, other_ns=535)
    path = written(tmp_path / "r.umt", [*known, alone])
    rec = umtrace.load(path)
    summary = rec.select().summary(()).groups[0]
    shares = [summary.share(name) for name in ("lock_ns", "rcu_ns", "other_ns")]
    assert shares[0] is None
    assert sum(shares[1:]) <= 1
    _, out, _ = call("report", path, "--full", "--by", "none")
    assert "share -: unknown for 99 of 100 umounts: namespace lock" in out
    assert "36.5 %" not in out
