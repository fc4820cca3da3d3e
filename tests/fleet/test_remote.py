"""Summaries and recordings in object storage: a real server process, by s3fs."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.fleet.fleets import cli_of, record
from tests.stats.rows import container_host
from umtrace.cli.main import run as main
from umtrace.fleet.storage import storage_of

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.fleet.server import s3_server  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A bucket; yields the file system of the driver."""
    with (
        pytest.MonkeyPatch.context() as patch,
        s3_server(tmp_path_factory.mktemp("s3") / "log") as at,
    ):
        for name, value in {
            "AWS_ENDPOINT_URL": at, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        system = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
        system.mkdir("fleet")
        yield system


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Three hosts, one recording each."""
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(3):
        rows = container_host(50, seed=number)
        record(folder / f"{number}.umt", rows, host=f"web{number}", boot=f"{number:032x}")
    return folder


@pytest.fixture
def summaries(s3, recordings, request):
    """Their summaries in the bucket; yields the URL."""
    url = f"s3://fleet/{request.node.name}"
    paths = map(str, sorted(recordings.iterdir()))
    assert main(["summarize", "-q", *paths, "-o", url]) == 0
    return url


def report(*words):
    return json.loads(cli_of("report", *words, "--json")[1])


def kinds(found):
    return {(each["kind"], each["host"]) for each in found["verdicts"]}


def test_it_is_as_on_the_disk(summaries, recordings, tmp_path):
    assert (
        main(["summarize", "-q", *map(str, sorted(recordings.iterdir())), "-o", str(tmp_path)]) == 0
    )
    here, there = report(tmp_path), report(summaries)
    assert here["groups"] == there["groups"]
    assert kinds(there) == set()


def test_summarize_again_replaces(s3, summaries, recordings):
    before = s3.find(summaries)
    assert main(["summarize", "-q", *map(str, sorted(recordings.iterdir())), "-o", summaries]) == 0
    assert s3.find(summaries) == before
    assert len(before) == 3


def test_raw_recordings(s3, recordings):
    s3.put(str(recordings), "s3://fleet/raw", recursive=True)
    found = report("s3://fleet/raw")
    assert found["hosts"] == 3
    assert found["groups"] == report(recordings)["groups"]


def test_truncated_double_and_unfinished_uploads(s3, summaries):
    first, second, third = sorted(s3.find(summaries))
    s3.pipe_file(first, s3.cat_file(first)[:-40])
    s3.pipe_file(f"{second.rpartition('/')[0]}/again.parquet", s3.cat_file(second))
    s3.pipe_file(f"{third}.0f.tmp", b"half")
    found = report(summaries)
    assert kinds(found) == {("damaged", "web0"), ("duplicate", "web1")}
    assert found["hosts"] == 2
    assert cli_of("report", summaries)[0] == 5


def test_too_large_and_hostile_names(s3, summaries, monkeypatch):
    s3.pipe_file(f"{summaries}/host=..%2F..%2Fx/day=2026-01-01/00-1-a.parquet", b"x" * 100)
    s3.pipe_file(f"{summaries}/host=a/day=2026-99-99/00-1-a.parquet", b"x")
    found = report(summaries)
    assert kinds(found) == {("damaged", "../../x")}
    monkeypatch.setattr("umtrace.fleet.opened.MOST_BYTES", 10)
    assert {kind for kind, _ in kinds(report(summaries))} == {"damaged"}


def test_what_is_not_there_is_one_line(s3, capsys):
    assert main(["fleet", "report", "s3://fleet/nothing"]) == 2
    assert main(["fleet", "report", "s3://no-such-bucket/x"]) in {1, 2}
    assert main(["fleet", "report", "no-such-driver://x/y"]) == 2
    assert all(len(line) < 500 for line in capsys.readouterr().err.splitlines())


def test_where_files_do_not_appear_whole_they_are_renamed_last(tmp_path):
    storage = storage_of(f"local://{tmp_path}/out")
    storage.put("host=a/day=2026-01-01/x.parquet", b"abc")
    assert [(file.path, file.size) for file in storage.files()] == [
        ("host=a/day=2026-01-01/x.parquet", 3)
    ]
    with storage.local("host=a/day=2026-01-01/x.parquet", 3) as copy:
        assert copy.read_bytes() == b"abc"
    shutil.rmtree(tmp_path / "out")
