"""A user namespace without a process, as mount_setattr(2) wants it for an id-mapped mount."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.children import fork_child, reap
from umtrace.exercise.stage import Stage
from umtrace.model.errors import UmtraceError

#: ids 0 to 65535 of a container, where engines put them
_MAP: Final = "0 100000 65536"


@contextlib.contextmanager
def user_namespace(stage: Stage) -> Iterator[int]:
    """Yield a descriptor of a new user namespace in which `_MAP` holds."""
    ready, tell = os.pipe()
    gone, release = os.pipe()
    pid = fork_child("umt-userns", stage.errors, _inside(tell, gone, release))
    os.close(tell)
    os.close(gone)
    try:
        made = os.read(ready, 1)
        if not made:
            raise UmtraceError("cannot make a user namespace: see user.max_user_namespaces")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text(_MAP)
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.close(release)
        reap([pid])
    try:
        yield fd
    finally:
        os.close(fd)


def _inside(tell: int, gone: int, release: int) -> Callable[[], None]:
    def body() -> None:
        os.close(release)
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(tell, b"1")
        os.read(gone, 1)  # until the other end is closed

    return body
