"""No text of a recording, a path or a task reaches a terminal as more than text."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.trace_reader import parse
from tests.readers import hostile

UMTRACE = [sys.executable, "-m", "umtrace"]
JSONS = [
    ("report", "{}", "--json"),
    ("ebusy", "{}", "--json"),
    ("hist", "{}", "--by", "comm", "--json"),
    ("diff", "{}", "{}", "--json"),
    ("export", "{}", "--to", "jsonl"),
    ("trace", "--replay", "{}", "--json"),
]
TEXTS = [
    ("report", "{}"),
    ("report", "{}", "--by", "comm,fstype,container,tier"),
    ("report", "{}", "--by", "comm", "--format", "markdown"),
    ("report", "{}", "--by", "comm", "--format", "csv"),
    ("report", "{}", "--full", "--by", "comm,fstype"),
    ("ebusy", "{}"),
    ("ebusy", "{}", "--evidence"),
    ("ebusy", "{}", "1"),
    ("hist", "{}", "--by", "fstype"),
    ("hist", "{}", "--by", "comm"),
    ("diff", "{}", "{}", "--by", "comm"),
    ("diff", "{}", "{}", "--by", "container"),
    ("trace", "--replay", "{}"),
    ("export", "{}", "--columns", "path,comm"),
]
ERRORS = [
    ("report", "{missing}"),
    ("report", "{empty}"),
    ("repair", "{empty}"),
    ("export", "{}", "-o", "{empty}"),
    ("export", "{}", "-o", "{missing}/x"),
    ("export", "{}", "--columns", "{nasty}"),
    ("html", "{}", "-o", "{empty}"),
    ("plot", "{}", "-o", "{missing}.gif"),
    ("plot", "{}", "-o", "{missing}/x.png"),
    ("report", "{}", "--by", "{nasty}"),
    ("report", "{}", "--min-latency", "{nasty}"),
    ("report", "{}", "--errno", "{nasty}"),
    ("report", "{}", "--format", "{nasty}"),
    ("report", "{}", "--section", "{nasty}"),
    ("report", "{}", "--comm", "{nasty}"),
    ("import", "{missing}", "-o", "{missing}x"),
    ("import", "{empty}", "-o", "{missing}x"),
    ("import", "{}", "-o", "{empty}/a/b"),
    ("record", "--tier", "{nasty}"),
    ("record", "-o", "{missing}/x"),
    ("record", "--", "{nasty}"),
    ("why", "{missing}"),
    ("{nasty}",),
    ("report", "--{nasty}"),
    ("exercise", "--fstype", "{nasty}"),
    ("repair", "{}"),
]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return hostile.make(tmp_path_factory.mktemp(hostile.hostile("dir")) / hostile.hostile("r.umt"))


@pytest.fixture(scope="module")
def words_of(recording, tmp_path_factory):
    """Fill hostile names into a command line."""
    folder = tmp_path_factory.mktemp("places")
    empty = folder / hostile.hostile("empty")
    empty.mkdir()
    names = {"missing": folder / hostile.hostile("missing"), "empty": empty}

    def fill(words):
        return [w.format(recording, nasty=hostile.hostile("x"), **names) for w in words]

    return fill


def check(text, *, lines=True):
    """Fail where anything but text and line ends is in it, or a line was forged.

    A page and a picture have no lines to forge.
    """
    bad = sorted({f"U+{ord(c):04X}" for c in text if not c.isprintable() and c != "\n"})
    assert not bad, f"{bad} in {text[:2000]!r}"
    forged = lines and [line for line in text.split("\n") if line.startswith("FORGED")]
    assert not forged, text[:2000]


def run(words):
    done = subprocess.run([*UMTRACE, *words], capture_output=True, check=False, timeout=120)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("words", JSONS, ids=" ".join)
def test_json_has_it_all_and_escaped(words_of, words):
    _code, out, said = run(words_of(words))
    check(out)
    check(said)
    whole = [json.loads(line) for line in out.splitlines()] if "\n{" in out else json.loads(out)
    if words[0] in ("trace", "export", "ebusy"):
        assert "\x9b" in json.dumps(whole, ensure_ascii=False)  # nothing is lost


#: what umtrace itself writes before and after a line that it writes anew
ERASED = "\r\x1b[K"


@pytest.mark.parametrize("words", TEXTS, ids=" ".join)
def test_text_on_a_terminal(words_of, words):
    """A terminal shows everything as text; each line of output is one that umtrace wrote."""
    read, write = pty.openpty()
    words = [*UMTRACE, *words_of(words)]
    with subprocess.Popen(words, stdout=write, stderr=write, stdin=subprocess.DEVNULL) as process:
        os.close(write)
        shown = b""
        while True:
            try:
                part = os.read(read, 1 << 16)
            except OSError:  # the other side was closed
                break
            shown += part
        process.wait(timeout=120)
    os.close(read)
    text = shown.decode().replace("\r\n", "\n").replace(ERASED, "")
    assert len(text) > 50
    check(text)


@pytest.mark.parametrize("words", [w for w in TEXTS if w[0] != "export"], ids=" ".join)
def test_text_in_a_pipe(words_of, words):
    _code, out, said = run(words_of(words))
    check(out)
    check(said)


@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_errors(words_of, words, tmp_path):
    code, out, said = run(words_of(words))
    check(out)
    check(said)
    assert "Traceback" not in said
    assert said or words[0] == "repair" or code == 0


def test_csv_in_a_pipe_has_it_as_it_is(words_of, recording):
    _code, out, _said = run(words_of(("export", "{}", "--columns", "path")))
    rows = list(csv.reader(io.StringIO(out.replace("\r", "\0"))))
    assert any(row and "\x9b" in row[0] for row in rows)


def test_a_trace_is_not_written_to_a_terminal(words_of):
    read, write = pty.openpty()
    words = [*UMTRACE, *words_of(("export", "{}", "--to", "perfetto"))]
    done = subprocess.run(
        words, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(write)
    os.close(read)
    assert done.returncode == 2
    assert "-o FILE" in done.stderr


@pytest.mark.parametrize("kind", ["html", "svg", "perfetto"])
def test_files(words_of, recording, tmp_path, kind):
    words = {
        "html": ("html", "{}", "--by", "comm", "-o"),
        "svg": ("plot", "{}", "--kind", "ebusy", "-o"),
        "perfetto": ("export", "{}", "--to", "perfetto", "-o"),
    }[kind]
    file = tmp_path / f"x.{kind}"
    code, out, said = run([*words_of(words), str(file)])
    assert code == 0, said
    check(out)
    check(said)
    data = file.read_bytes()
    if kind == "perfetto":
        data = parse(data).SerializeToString()
        assert b"umount" in data
        for nasty in ("\x1b[", "\x9b", "\u202e", "\u2028"):
            assert nasty.encode() not in data
    else:
        check(data.decode(), lines=False)


@pytest.mark.parametrize("kind", ["hist", "cdf", "phases", "timeline"])
def test_pictures_by_hostile_groups(words_of, tmp_path, kind):
    words = ("plot", "{}", "--kind", kind, "--by", "comm", "-o")
    if kind == "timeline":
        words = ("plot", "{}", "--kind", kind, "-o")
    file = tmp_path / "x.svg"
    code, _out, said = run([*words_of(words), str(file)])
    assert code == 0, said
    check(said)
    check(file.read_text(), lines=False)


def test_what_repair_says(recording, tmp_path):
    copy = tmp_path / hostile.hostile("copy")
    shutil.copytree(recording, copy)
    chunk = next(copy.glob("umounts-*"))
    chunk.write_bytes(chunk.read_bytes()[:100])
    _code, out, said = run(["repair", str(copy)])
    check(out)
    check(said)
    assert "damaged" in out + said


@pytest.mark.kernel
def test_why_and_record_on_a_hostile_path(tmp_path):
    place = tmp_path / hostile.hostile("mnt")
    place.mkdir()
    source = hostile.hostile("source").replace("\r", "")
    script = 'mount -t tmpfs "$1" "$2" && cd "$2" && shift 2 && exec "$@"'
    for more in ((), ("--all",), ("--json",)):
        words = ["unshare", "-m", "sh", "-c", script, "sh", source, str(place)]
        done = subprocess.run(
            [*words, sys.executable, "-m", "umtrace", "why", str(place), *more],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )  # fmt: skip
        check(done.stdout)
        check(done.stderr)
        assert "tmpfs" in done.stdout
    output = tmp_path / hostile.hostile("rec")
    code, out, said = run(["record", "--tier", "tracepoint", "-d", "0", "-o", str(output)])
    assert code == 0
    check(out)
    check(said)
    code, out, said = run(["record", "-d", "0", "-o", str(output)])
    assert code == 2
    check(said)
