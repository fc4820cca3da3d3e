"""Asks the kernel once whether a mount is busy or a device claimed, in a child with a deadline.

docs/why.md describes the questions and the price of each.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from umtrace.holders.answer import KernelAnswer

#: has the lock, and the log of questions with their times; only root can write there
FOLDER = Path("/run/umtrace")
EXPIRE, CLAIM = "umount2(MNT_EXPIRE)", "open(O_EXCL)"
#: the kernel uses the same mark to expire submounts of these
_EXPIRED_BY_THE_KERNEL = frozenset({"nfs", "nfs4", "cifs", "smb3", "afs"})
_PATIENCE_S = 5.0
_PROGRAM = Path(__file__).with_name("ask_kernel_child.py")
_EINVAL = "EINVAL: the mount is locked here, is in another namespace, or is the root directory"
_MARKED = "; it stays marked as expired until it is used"


@dataclass(frozen=True, slots=True)
class Question:
    """One mount, in the namespace of ``ns_file`` (None: this namespace), or one device."""

    kind: str
    path: str
    mnt_id: int | None = None
    ns_file: str | None = None
    dev: str | None = None


def refusal(fstype: str, point: str, own: Sequence[str]) -> str:
    """Return why a mount is not asked about; empty if it is.

    ``own`` has what this process has open there.
    """
    if os.geteuid() != 0:
        return "only root may ask"
    if point == "/":
        return "it is the root directory of umtrace"
    if fstype in _EXPIRED_BY_THE_KERNEL:
        return f"{fstype}: the kernel uses the same mark to expire submounts"
    return f"umtrace itself has {own[0]} there" if own else ""


def ask_mount(questions: Sequence[Question]) -> KernelAnswer:
    """Ask about a mount and the copies that umount would unmount too; the mount comes first."""
    for number, answer in enumerate(_asked(questions)):
        copy = f", of its copy {questions[number].path}" if number else ""
        said = answer.get("errno")
        marked = "" if answer.get("cleared", True) else _MARKED
        if said == 0:
            why = "this question unmounted it: another program had marked it at the same moment"
            return KernelAnswer("refused", EXPIRE, why)
        if said == errno.EBUSY:
            return KernelAnswer("busy", EXPIRE + copy, marked.removeprefix("; "))
        if said != errno.EAGAIN:
            return KernelAnswer("refused", EXPIRE + copy, _reason(answer) + marked)
        if marked:
            return KernelAnswer("free", EXPIRE, marked.removeprefix("; "))
    return KernelAnswer("free", EXPIRE)


def ask_device(path: str, dev: str) -> KernelAnswer:
    """Ask whether a block device is claimed; ``free`` means not claimed, it may still be open."""
    answer = _asked([Question("device", path, dev=dev)])[0]
    said = answer.get("errno")
    if said == errno.EAGAIN:
        return KernelAnswer("free", CLAIM)
    return (
        KernelAnswer("busy", CLAIM)
        if said == errno.EBUSY
        else KernelAnswer("refused", CLAIM, _reason(answer))
    )


def _reason(answer: dict[str, Any]) -> str:
    number = answer.get("errno")
    if number == errno.EINVAL:
        return _EINVAL
    return str(answer.get("refused") or os.strerror(number or 0))


def _asked(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the answers, up to the first that is not EAGAIN."""
    order = json.dumps({"folder": str(FOLDER), "questions": [asdict(q) for q in questions]})
    os.chdir("/")  # a working directory there would make the mount busy
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_PROGRAM), order],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    try:
        out, _ = child.communicate(timeout=_PATIENCE_S)
        late = (
            ""
            if child.returncode == 0
            else f"the child process that asks ended with {child.returncode}"
        )
    except subprocess.TimeoutExpired as expired:
        child.send_signal(signal.SIGKILL)  # do not wait for it: it may never end
        out, late = _decoded(expired.stdout), f"no answer in {_PATIENCE_S:g} s"
    answers = []
    for line in out.splitlines():
        with suppress(ValueError):
            answers.append(json.loads(line))
    complete = len(answers) == len(questions) or (
        answers and answers[-1].get("errno") != errno.EAGAIN
    )
    return answers if complete else [*answers, {"refused": late or "no answer"}]


def _decoded(out: object) -> str:
    return out.decode(errors="replace") if isinstance(out, bytes) else str(out or "")
