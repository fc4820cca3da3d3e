"""The tools under measurement: how each is started, when it is ready, what it says it saw."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "UMTRACE_CACHE"
KEPT = ", programs kept"  #: in a name: takes the programs of an earlier start
READY_S = float(os.environ.get("UMTRACE_BENCH_READY_S", "30"))  # minutes under emulation
STOP_S = 2 * READY_S
_SILENT_S = max(2.0, READY_S / 24)  # for what does not say when it is ready
Seen = Callable[[Path], "int | None"]


class NotHereError(Exception):
    """The tool is not installed, or this kernel does not let it run; says why."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tracer.

    ``command`` may hold ``{out}``, a file or folder of its own, ``{kept}``, a folder for all runs,
    and ``{fd}``, a descriptor that tells when it is ready. Else ``ready`` is a pattern in what it
    prints, or a number of seconds to wait where it says nothing. ``seen`` counts what it reported,
    from its folder (what it printed is ``printed`` there). A mount with its umount makes
    ``per_umount`` of the calls that it counts, and what is around them ``beside``.
    """

    name: str
    command: tuple[str, ...]
    ready: str | float = ""
    seen: Seen | None = None
    per_umount: int = 1
    beside: int = 0


@dataclass(slots=True)
class FtraceBase:
    """A tool that is attached."""

    process: subprocess.Popen[bytes]
    folder: Path
    ready_s: float


@contextmanager
def running(tool: Tool, folder: Path) -> Iterator[FtraceBase]:
    """Start a tool, wait until it is ready, end it as Ctrl-C does.

    Raises
    ------
    NotHereError
        It ended instead, with the last line of what it said.
    """
    program = shutil.which(tool.command[0])
    if program is None:
        raise NotHereError(f"{tool.command[0]} is not installed")
    folder.mkdir(parents=True)
    reading, telling = os.pipe()
    os.set_blocking(reading, False)
    kept = str(folder.parent / "kept")
    values = {"{out}": str(folder / "out"), "{fd}": str(telling), "{kept}": kept}
    words = [_filled(word, values) for word in tool.command[1:]]
    printed = folder / "printed"
    began = time.monotonic()
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [program, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            pass_fds=[telling], env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    os.close(telling)
    try:
        _await(tool, process, printed, reading, began)
        yield FtraceBase(process, folder, time.monotonic() - began)
    finally:
        os.close(reading)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _await(
    tool: Tool, process: subprocess.Popen[bytes], printed: Path, reading: int, began: float
) -> None:
    while time.monotonic() - began < READY_S:
        if process.poll() is not None:
            raise NotHereError(_last_line(printed) or f"ended with {process.returncode}")
        if isinstance(tool.ready, float):
            if time.monotonic() - began > tool.ready:
                return
        elif tool.ready:
            if re.search(tool.ready, printed.read_text(errors="replace"), re.MULTILINE):
                return
        else:
            try:
                if os.read(reading, 1):
                    return
            except BlockingIOError:
                pass
        time.sleep(0.002)
    raise NotHereError(f"was not ready after {READY_S:g} s")


def _last_line(printed: Path) -> str:
    lines = printed.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else ""


def _count(pattern: str) -> Seen:
    return lambda folder: len(re.findall(pattern, _printed(folder), re.MULTILINE))


def _printed(folder: Path) -> str:
    return (folder / "printed").read_text(errors="replace")


def _number(pattern: str) -> Seen:
    def seen(folder: Path) -> int | None:
        found = re.findall(pattern, _printed(folder), re.MULTILINE)
        return sum(map(int, found)) if found else None

    return seen


def _rows(folder: Path) -> int:
    """Count the umounts in a recording; those of tmpfs churn are all there are."""
    from umtrace.recording import Recording

    paths = Recording.open(folder / "out").umounts(["path"]).column("path").to_pylist()
    return sum(1 for path in paths if path and re.search(r"/place/\d+$", path))


def umtrace(tier: str, probes: str = "full", *, kept: bool = False) -> Tool:
    """Return the recorder; it compiles its programs, or takes those of its start before."""
    command = (
        "env", f"{VARIABLE}=" + ("{kept}" if kept else "0"), sys.executable, "-m", "umtrace",
        "record", "-q", "--tier", tier, "--probes", probes, "-o", "{out}", "--ready-fd", "{fd}",
    )  # fmt: skip
    name = f"umtrace record, {tier}" + ("" if tier == "tracepoint" else f", {probes}")
    name += KEPT if kept else ""
    return Tool(name, command, seen=_rows)


def bpftrace(name: str, script: str, seen: Seen | None = None, per_umount: int = 1) -> Tool:
    """Return a one-line program that says when it is attached."""
    text = 'BEGIN { printf("ready\\n"); } ' + script
    return Tool(name, ("bpftrace", "-B", "line", "-e", text), "^ready", seen, per_umount)


_OURS = '/comm == "churn" || comm == "loops"/'
_ENTER = f"tracepoint:syscalls:sys_enter_umount {_OURS} {{ @s[tid] = nsecs; }} "
_FINISH = "END { clear(@s); } "
_PERF = Tool(
    "perf trace -e umount2", ("perf", "trace", "-a", "-e", "umount2"), _SILENT_S,
    _count(r"churn/\d+ umount2\("),
)  # fmt: skip
#: on a host that lets tracepoints be traced and no functions
SYSCALLS = (
    umtrace("tracepoint"),
    bpftrace(
        "bpftrace, histogram of umount(2)",
        _ENTER + "tracepoint:syscalls:sys_exit_umount /@s[tid]/ { @us = hist((nsecs - @s[tid]) "
        '/ 1000); if (comm == "churn") { @n = count(); } delete(@s[tid]); } ' + _FINISH,
        _number(r"^@n: (\d+)"),
    ),
    bpftrace(
        "bpftrace, a line per umount(2)",
        _ENTER + "tracepoint:syscalls:sys_exit_umount /@s[tid]/ "
        '{ printf("umount %s %d %d\\n", comm, args->ret, nsecs - @s[tid]); delete(@s[tid]); } '
        + _FINISH,
        _count(r"^umount churn"),
    ),
    Tool(
        "mountsnoop (libbpf)", ("stdbuf", "-oL", "/usr/sbin/mountsnoop"), "^COMM",
        _count(r"^churn .* umount\("),
    ),
    _PERF,
)  # fmt: skip

#: the four functions that umtrace is about, by the names they can be probed under (6.12)
FOUR = ("namespace_unlock", "synchronize_rcu_expedited", "mntput_no_expire", "__legitimize_mnt")
_BY_ITSELF = 4  # unshare, make-rprivate, the churn's own mount, the namespace's end


def _four(kind: str) -> Tool:
    entry, leave = ("kfunc", "kretfunc") if kind == "kfunc" else ("kprobe", "kretprobe")
    script = "".join(
        f"{entry}:{f} {{ @s{i}[tid] = nsecs; }} {leave}:{f} /@s{i}[tid]/ "
        f"{{ @h{i} = hist(nsecs - @s{i}[tid]); delete(@s{i}[tid]); }} "
        for i, f in enumerate(FOUR)
    )
    script += f'{leave}:{FOUR[0]} /comm == "churn"/ {{ @n = count(); }} '
    return bpftrace(f"bpftrace, {entry} on the four", script, _number(r"^@n: (\d+)"), 2)


_HEADERS = "BCC_KERNEL_SOURCE=/lab/in/headers"
_HISTOGRAM = _number(r": (\d+)\s+\|")
MOUNTSNOOP = Tool(
    "mountsnoop-bpfcc", ("env", _HEADERS, "mountsnoop-bpfcc"), "^COMM",
    _count(r"^churn .* umount\("),
)  # fmt: skip
#: for the noise: what a pair differs by where nothing is traced
ALONE = Tool("nothing", ("sleep", "infinity"), 0.5)
#: on a kernel that lets functions be traced, with its headers in the guest
FUNCTIONS = (
    umtrace("fentry"),
    Tool(
        "funclatency-bpfcc, the four",
        ("env", _HEADERS, "funclatency-bpfcc", "-r", f"^({'|'.join(FOUR)})$"), "^Tracing",
    ),
    umtrace("fentry", "light"),
    _four("kprobe"),
    umtrace("kprobe"),
    _four("kfunc"),
    umtrace("tracepoint"),
    _PERF,
    umtrace("ftrace"),
    umtrace("ftrace", "light"),
    umtrace("kprobe", "light"),
    Tool(
        "trace-cmd, function_graph",
        ("stdbuf", "-oL", "trace-cmd", "record", "-p", "function_graph", "-g", "path_umount", "-g",
         "cleanup_mnt", "-o", "{out}"), "Hit Ctrl",
    ),
    MOUNTSNOOP,
)  # fmt: skip
#: to start twice each: ours compiles the first time, and finds its programs the second
STARTS = (
    MOUNTSNOOP,
    *(umtrace(tier, kept=True) for tier in ("fentry", "kprobe", "tracepoint")),
)
#: to count calls with: those whose loss the figures of others are about, one function at a time
ONE_FUNCTION = (
    Tool(
        "funclatency-bpfcc namespace_unlock",
        ("env", _HEADERS, "funclatency-bpfcc", FOUR[0]), "^Tracing", _HISTOGRAM, 2, _BY_ITSELF,
    ),
    Tool(
        "perf ftrace latency -T namespace_unlock",
        ("perf", "ftrace", "latency", "-a", "-T", FOUR[0]), _SILENT_S,
        _number(r"[um]?s \|\s+(\d+) \|"), 2, _BY_ITSELF,
    ),
)  # fmt: skip
