"""The list, the line and the timeline: 80 columns, and nothing but what is known."""

from __future__ import annotations

import json

import pytest

from tests.teardowns.scenes import umount
from tests.teardowns.test_behind import chain
from tests.teardowns.test_numbers import one
from umtrace.cli.main import run
from umtrace.present.teardowns import owner_text, teardown_line, teardowns_json, teardowns_text
from umtrace.present.timeline import timeline_text

MS = 1_000_000


def lines_of(teardown, **options):
    return list(timeline_text(teardown, 1, **{"seen": True} | options))


def test_the_list_fits_80_columns_and_names_all():
    rows = [
        umount(n * 20 * MS, 19 * MS, id=n, path="/" + f"{n}" * 99, rcu_ns=9 * MS, gp_seq=4 * n)
        for n in range(5)
    ]
    text = teardowns_text([(1, one(rows))], 3)
    assert max(map(len, text.splitlines())) <= 80
    assert "5: 45.0 ms  namespace 4026532177" in text
    assert "one shared GP saves 36.0 ms" in text
    assert "2 others 38.0 ms, between umounts 4.00 ms" in " ".join(text.split())
    assert "and 2 shorter teardowns more: --all" in text
    assert teardowns_text([], 0).startswith("No teardown: ")


def test_what_is_not_known_is_not_a_number():
    text = teardowns_text([(1, one([umount(0, 9, id=0), umount(10, 9, id=1)]))], 1)
    assert "2              -  namespace" in text
    assert "what a shared GP saves is unknown" in " ".join(text.split())
    assert "lock" not in text
    assert " mounts," not in text
    assert "RCU wait not known" in teardown_line(one([umount(0, 9, id=0)]))


def test_an_id_is_cut_and_a_name_is_not():
    assert owner_text("container", "3f" * 32) == "container 3f3f3f3f3f3f"
    assert owner_text("unit", "a-very-long-name.service") == "unit a-very-long-name.service"
    assert owner_text("unit", "x\x1b[31m") == "unit x?[31m"


def test_the_timeline_shows_path_phases_and_who_waited_behind_whom():
    lines = lines_of(one(chain()))
    assert max(map(len, lines)) <= 80
    path = [line for line in lines if line.startswith("*")]
    assert [line.split()[3] for line in path[:5]] == ["/big", "/m/10", "/m/11", "/m/12", "/last"]
    assert "LLLLL" in path[4]
    text = " ".join(" ".join(lines).split())
    assert "/last: waited 39.0 ms behind umount of /big by dockerd (7) (its tree 12.0 ms)" in text
    assert "and 3 others" in text


def test_a_step_of_another_owner_is_marked(monkeypatch):
    both = chain()
    both[0]["mntns"] = 1
    lines = lines_of(one_of(both, "4026532177"))
    (other,) = [line for line in lines if "/big" in line and line.startswith("*")]
    assert "/big (other)" in other


def one_of(rows, owner):
    from tests.stats.rows import batch_of
    from umtrace.teardowns import Collector

    collector = Collector()
    assert not list(collector.add(batch_of(rows)))
    (done,) = collector.finish()
    (found,) = [each for each in done if each.owner.name == owner]
    return found


def test_forty_umounts_are_shown_and_the_rest_counted():
    rows = [umount(n * MS, MS // 2 + n, id=n, path=f"/n{n}") for n in range(60)]
    lines = lines_of(one(rows))
    assert "and 20 shorter umounts more: --all" in lines
    assert not any("more: --all" in line for line in lines_of(one(rows), whole=True))


def test_json_has_the_steps():
    rows = [umount(0, 5, tid=1, id=0), umount(6, 4, tid=1, id=1)]
    (found,) = json.loads("".join(teardowns_json([(4, one(rows))])))["teardowns"]
    assert found["number"] == 4
    assert [(s["id"], s["link"], s["own"]) for s in found["steps"]] == [
        (0, "task", True),
        (1, "end", True),
    ]


@pytest.mark.parametrize("whole", [[], ["--all"]])
def test_the_command_lists_and_shows(recording, capsys, whole):
    rows = [umount(n * 3_000 * MS, 5 * MS, id=n, container=f"c{n}", rcu_ns=1) for n in range(12)]
    rows += [umount(90_000 * MS, 5, id=12, mntns=None), umount(91_000 * MS, 5, id=13)]
    path = str(recording(rows))
    assert run(["teardowns", path, *whole]) == 0
    out, err = capsys.readouterr()
    assert out.count("container c") == (12 if whole else 8)
    assert "1 umount without a known owner" in err
    assert run(["teardowns", path, "c11", *whole]) == 0
    assert "12. container c11 (known by container)" in capsys.readouterr().out
    assert run(["teardowns", path, "c1", *whole]) == 0
    assert capsys.readouterr().out.count("(known by container)") == 3
    assert run(["teardowns", path, "--json", *whole]) == 0
    assert len(json.loads(capsys.readouterr().out)["teardowns"]) == 13
    assert run(["teardowns", path, "nobody"]) == 2
    assert "no teardown of 'nobody'" in capsys.readouterr().err
