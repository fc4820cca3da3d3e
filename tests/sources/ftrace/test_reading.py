"""How `import` reads: once, from files and pipes, in bounded memory, saying what it left out."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import threading

import pytest

from tests.sources.ftrace.test_text import REPORT
from umtrace.cli.main import run
from umtrace.recording import Recording
from umtrace.sources.ftrace import lines as module
from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.sorting import SortedRecords
from umtrace.sources.ftrace.text import TextSource


def imported(tmp_path, source, capsys):
    target = tmp_path / "r.umt"
    code = run(["import", str(source), "-f", "-o", str(target)])
    said = capsys.readouterr().err
    rows = Recording.open(target).umounts().to_pylist() if code == 0 else []
    return code, said, rows


@pytest.mark.parametrize(
    "odd", ["010", "0x", "9" * 5000, "0x" + "f" * 5000, "4096", "-4096", "2147483648", "1e3", "٣"]
)
def test_a_number_that_no_kernel_prints_is_counted_not_believed(tmp_path, capsys, odd):
    (tmp_path / "t").write_text(
        REPORT.replace("sys_exit_umount:      0x0", f"sys_exit_umount: {odd}")
    )
    code, said, rows = imported(tmp_path, tmp_path / "t", capsys)
    assert code == 0
    assert "1 line was not understood; the first is line 8" in said
    assert sorted(row["path"] or "" for row in rows) == ["", "/mnt/b"]
    assert all(row["errno"] in (None, 16) for row in rows)


@pytest.mark.parametrize("place", ["-100 ", "100.000000:", "[001]", "0x00000002", "0.512 us"])
def test_numbers_of_five_thousand_digits(tmp_path, capsys, place):
    digits = "".join(c for c in place if not c.isdigit()) or "x"
    (tmp_path / "t").write_text(REPORT.replace(place, place[:1] + "9" * 5000 + digits[-1:], 1))
    code, said, rows = imported(tmp_path, tmp_path / "t", capsys)
    assert code == 0
    assert len(rows) == 2
    assert "Traceback" not in said


def test_lines_that_are_none_of_a_trace_are_counted_and_shown(tmp_path, capsys):
    quiet = "# tracer: nop\n\ncpus=4\n => path_umount\n------------\n"
    (tmp_path / "t").write_text(quiet + REPORT)
    assert "not understood" not in imported(tmp_path, tmp_path / "t", capsys)[1]
    (tmp_path / "t").write_text(REPORT + "a line of something else\n" * 1200)
    code, said, _ = imported(tmp_path, tmp_path / "t", capsys)
    assert code == 0
    assert "1,200 lines were not understood; the first is line 15" in said
    assert run(["report", str(tmp_path / "r.umt")]) == 0
    assert "left out: 1,200 lines were not understood" in capsys.readouterr().out


def test_a_pipe_is_read_from_its_beginning(tmp_path, capsys):
    (tmp_path / "t").write_text(REPORT)
    whole = imported(tmp_path, tmp_path / "t", capsys)
    os.mkfifo(tmp_path / "pipe")

    def write():
        with (tmp_path / "pipe").open("w") as out:
            for line in REPORT.splitlines(keepends=True):
                out.write(line)
                out.flush()

    writer = threading.Thread(target=write)
    writer.start()
    assert imported(tmp_path, tmp_path / "pipe", capsys) == whole
    writer.join()


def test_standard_input_is_read(tmp_path):
    command = [sys.executable, "-m", "umtrace", "import", "-", "-o", str(tmp_path / "r.umt")]
    done = subprocess.run(command, input=REPORT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 umounts" in done.stderr
    assert Recording.open(tmp_path / "r.umt").meta.extra["imported"] == "standard input"


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/"])
def test_what_is_neither_a_file_nor_a_pipe_is_refused(tmp_path, capsys, path):
    code, said, _ = imported(tmp_path, path, capsys)
    assert code == 2
    assert said == f"umtrace: {path}: is neither a file nor a pipe\n"


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "_NOBODY_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    code, said, _ = imported(tmp_path, tmp_path / "pipe", capsys)
    assert (code, "no process writes to this pipe" in said) == (2, True)


def test_many_records_come_in_the_order_of_time():
    rng = random.Random(1)
    made = [Record(rng.randrange(1000), n, 0, "um_enter", {"comm": b"x"}) for n in range(50_000)]
    records = SortedRecords()
    for at in range(0, len(made), 7):
        records.add(made[at : at + 7])
    assert list(records) == sorted(made, key=lambda record: record.ts_ns)
    records.close()


def test_a_line_of_any_length_is_one_line():
    file = io.BytesIO(b"x" * 300_000 + b"\nsecond\r\n\nlast")
    found = list(module.lines_of(file))
    assert [len(line) for line in found] == [module.LONGEST, 7, 0, 4]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    with (tmp_path / "t").open("w") as out:
        for number in range(60_000):
            out.write(REPORT.replace(" 100.0", f" {100 + number}.0"))
    code = (
        "from bench.memory import peak_kib; from umtrace.cli.main import run;"
        f"code = run(['import', {str(tmp_path / 't')!r}, '-o', {str(tmp_path / 'r')!r}]);"
        "print(code, peak_kib() >> 10)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, megabytes = map(int, done.stdout.split())
    assert status == 0
    assert (tmp_path / "t").stat().st_size > 60 << 20
    assert megabytes < 400, "17 times the file before"


def test_a_source_reads_in_batches(tmp_path):
    text = "".join(REPORT.replace(" 100.0", f" {100 + n}.0") for n in range(1500))
    (tmp_path / "t").write_text(text)
    source = TextSource(tmp_path / "t")
    source.open()
    batches = iter(lambda: source.read(0), None)
    assert sum(1 for _ in batches) > 1
    source.close()
