"""Hosts that lack something: the tool says so, and measures what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.system.umtrace_command import COMMAND, losses, outcome, rows_under
from umtrace.sources.bpf.program_cache import VARIABLE

# An empty file in their place, in a mount namespace of the recorder's own.
BTF, SYMBOLS = "/sys/kernel/btf/vmlinux", "/proc/kallsyms"

# What the compiler's process finds first is one that cannot be imported, or another's.
WITHOUT_BCC = "raise ImportError('no module')"
OTHER_BCC = "__doc__ = 'another project'"


def run(setup, *args):
    code = f"{setup}\nimport sys\nfrom umtrace.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def hiding(what, *args):
    """Run umtrace where a mount, or an empty file, hides something of this host."""
    script = f'mount --make-rprivate / && {what} && exec "$@"'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *COMMAND, *map(str, args)],
        env={**os.environ, VARIABLE: "0"},  # what was read before it was hidden may be kept
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def record(hidden, path):
    exercise = [*COMMAND, "exercise", "--sync", "5", "--lazy", "3", "--busy", "2", "--json"]
    arguments = ("record", "-q", "--tier", "tracepoint", "-o", path, "--", *exercise)
    done = hiding(f"mount --bind /dev/null {hidden}", *arguments)
    assert done.returncode == 0, done.stderr
    ledger = json.loads(done.stdout)
    rows = rows_under(path, ledger["root"])
    assert outcome(rows) == outcome(ledger["umounts"])
    assert all(row["complete"] for row in rows)
    assert losses(path)["ring_events"] == 0
    return rows, json.loads((path / "meta.json").read_text())["plan"]


@pytest.mark.kernel
def test_without_btf_the_waits_are_still_measured(tmp_path):
    rows, plan = record(BTF, tmp_path / "r")
    assert all(row["mntns"] is None for row in rows)
    # On a busy host a grace period can end before the task sleeps for it: no wait is seen then.
    waits = [row["rcu_ns"] for row in rows if row["rcu_ns"] is not None]
    assert all(wait > 0 for wait in waits)
    assert len(waits) > sum(not row["errno"] for row in rows) // 2
    assert any(f"{BTF} cannot be parsed" in step["reason"] for step in plan)


@pytest.mark.kernel
def test_without_kernel_addresses_waits_have_no_name(tmp_path):
    rows, plan = record(SYMBOLS, tmp_path / "r")
    assert all(row["rcu_ns"] is None for row in rows)
    assert all(row["latency_ns"] > 0 for row in rows)
    assert any("kernel addresses hidden" in step["reason"] for step in plan)


@pytest.mark.kernel
@pytest.mark.parametrize(("setup", "word"), [(WITHOUT_BCC, "python3-bpfcc"), (OTHER_BCC, "PyPI")])
def test_without_bcc(setup, word, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")  # what is kept needs no bcc
    (tmp_path / "bcc.py").write_text(setup)
    first = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    done = run(first, "record", "--tier", "tracepoint", "-o", tmp_path / "r")
    assert done.returncode == 4
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.kernel
def test_without_bcc_tracefs_alone_will_do(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")
    (tmp_path / "bcc.py").write_text(WITHOUT_BCC)
    first = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    done = run(first, "record", "-d", "0", "-o", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    tier = json.loads((tmp_path / "r" / "meta.json").read_text())["tier"]
    assert tier in ("ftrace", "ftrace-static")
    if tier == "ftrace-static":  # the last resort says why it is taken
        assert "python3-bpfcc" in done.stderr.splitlines()[0]


@pytest.mark.kernel
def test_without_sysfs_the_cpus_cannot_be_counted(tmp_path):
    """The kernel writes a value for each CPU, into memory that must be there."""
    arguments = ("record", "--tier", "tracepoint", "-d", "0", "-o", tmp_path / "r")
    done = hiding("umount -l /sys", *arguments)
    assert done.returncode == 4
    assert "mount sysfs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.kernel
@pytest.mark.parametrize("limit", [10, 14, 18, 24])
@pytest.mark.parametrize("tier", ["auto", "tracepoint", "ftrace-static"])
def test_too_few_descriptors_are_not_called_a_missing_tracepoint(tmp_path, tier, limit):
    script = f'ulimit -n {limit}; exec "$@"'
    arguments = ("record", "-q", "--tier", tier, "-d", "0", "-o", str(tmp_path / "r"))
    done = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 0:  # this tier needs fewer
        return
    assert done.returncode == 1
    assert "too many open files" in done.stderr
    assert "ulimit -n" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.kernel
@pytest.mark.parametrize(
    "command",
    [
        ("record", "--tier", "tracepoint", "-d", "0"),
        ("trace", "--tier", "tracepoint", "-d", "0"),
        ("doctor",),
    ],
)
def test_root_without_capabilities_is_not_told_to_become_root(tmp_path, command):
    lost = "-sys_admin,-bpf,-perfmon"
    dropped = ["setpriv", "--bounding-set", lost, "--inh-caps", lost]
    done = subprocess.run(
        [*dropped, *COMMAND, *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    # Where tracefs is mounted, ftrace-static needs neither of them, and doctor says so.
    assert done.returncode in ((0, 3) if command == ("doctor",) else (3,))
    assert "CAP_BPF" in done.stdout + done.stderr
    assert "sudo" not in done.stdout + done.stderr


@pytest.mark.kernel
def test_doctor_names_the_capability_that_hides_kernel_addresses():
    dropped = ["setpriv", "--bounding-set", "-syslog", "--inh-caps", "-syslog"]
    done = subprocess.run(
        [*dropped, *COMMAND, "doctor", "--full"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "CAP_SYSLOG" in done.stdout
    assert "kptr_restrict=1" not in done.stdout
