"""Windows after an umount that succeeded, in which the file system lives on."""

from __future__ import annotations

from collections.abc import Sequence

from umtrace.ebusy.attempts import Attempt
from umtrace.ebusy.explain import ms
from umtrace.ebusy.releases import holder_of, who
from umtrace.model.evidence import Walk
from umtrace.model.holders import Holder
from umtrace.model.windows import EbusyWindow, Walker

_MOST_WALKERS = 16
_LATE = frozenset({"other", "kworker", "pending"})


def tail_window(attempt: Attempt, stealing_puts: Sequence[Walk] = ()) -> EbusyWindow | None:
    """Return the window of a final put that came after the return; None if it did not.

    ``stealing_puts`` are the walks of the task that put it.
    """
    late = attempt.final_put in _LATE or bool(attempt.tail_ns and attempt.tail_ns > 0)
    if attempt.errno != 0 or not late:
        return None
    stolen = attempt.mode == "sync"
    if stolen and attempt.final_put not in _LATE:
        return None
    begin = attempt.end_ns
    ended = attempt.tail_ns is not None and attempt.final_put != "pending"
    putter = attempt.final_put_comm or attempt.final_put or "a task that was not seen"
    holders = () if stolen else _last_holders(stealing_puts)
    walkers = tuple(_walker(walk) for walk in stealing_puts[:_MOST_WALKERS])
    if not walkers and attempt.final_put_comm:
        walkers = (Walker(tid=0, comm=attempt.final_put_comm, what="put"),)
    return _window(
        attempt,
        klass="stolen-put" if stolen else "lazy-tail",
        spurious=stolen,
        begin_ns=begin,
        end_ns=begin + (attempt.tail_ns or 0) if ended else None,
        holders=holders,
        walkers=walkers,
        evidence=(_returned(stolen=stolen), _put_by(attempt, putter, ended=ended)),
    )


def _walker(walk: Walk) -> Walker:
    tid, comm = who(walk)
    return Walker(tid=tid, comm=comm, what=walk.what)


def _last_holders(puts: Sequence[Walk]) -> tuple[Holder, ...]:
    """Return the task that put a lazily unmounted file system last, as its longest holder."""
    return tuple(holder_of(w, "released last") for w in puts[:1] if w.what == "put")


def _returned(*, stolen: bool) -> str:
    if stolen:
        return "umount returned 0, then another task dropped the last reference"
    return "MNT_DETACH returned 0 while references were left, as documented"


def _put_by(attempt: Attempt, putter: str, *, ended: bool) -> str:
    if not ended:
        return "the last reference was not seen to be dropped: the file system may still be in use"
    return f"{putter} dropped the last reference {ms(attempt.tail_ns or 0)} after the return"


def _window(attempt: Attempt, **values: object) -> EbusyWindow:
    shared = {
        "path": attempt.path,
        "dev": attempt.dev,
        "umount_id": attempt.id,
        "cost_ns": attempt.latency_ns,
        "pid": attempt.pid,
        "comm": attempt.comm,
        "container": attempt.container,
        "mntns": attempt.mntns,
        "tier": attempt.tier,
    }
    return EbusyWindow(**{**shared, **values})  # type: ignore[arg-type]
