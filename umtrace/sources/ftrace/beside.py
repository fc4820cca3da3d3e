"""What tasks do that are in no operation: claims in vain, and the references of path walkers."""

from __future__ import annotations

from umtrace.model.events import FOREIGN, Failed, Kind, Unseen
from umtrace.sources.ftrace.batches import event_of
from umtrace.sources.ftrace.open_operations import OpenOperations
from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.task_tracker import TaskTracker

_EBUSY = 16
_MOST_CLAIMS = 4096


class Beside(OpenOperations):
    """The handlers of such records; each gives an event that carries no sequence.

    Parameters
    ----------
    shift : int
        From a ``struct vfsmount`` back to its ``struct mount``.
    """

    def __init__(self, lineage: TaskTracker, unseen: Unseen, *, counts: bool, shift: int) -> None:
        super().__init__(lineage, unseen, counts=counts)
        self._shift = shift
        self._claims: dict[int, int] = {}  # task -> device it claims
        self._let_go: dict[int, int] = {}  # task -> device whose superblock it let go

    def _loose(
        self, r: Record, kind: Kind, mnt: int, ret: int, a: int, b: int, comm: bytes
    ) -> None:
        """Add an event of a task that is in no operation."""
        who, cpu = (r.tid, self._lineage.tgid(r.tid)), r.cpu | FOREIGN
        event = event_of(kind, r.ts_ns, cpu, who, mnt=mnt, ret=ret, a=a, b=b, comm=comm)
        self._out.events.append(event)

    # ---- block devices claimed in vain ----

    def _um_claim(self, r: Record) -> None:
        if len(self._claims) >= _MOST_CLAIMS:
            self._claims.clear()  # of claims that succeeded, whose return is not told
        self._claims[r.tid] = r.fields["dev"]

    def _um_claimed(self, r: Record) -> None:
        dev, comm = self._claims.pop(r.tid, 0), r.fields["comm"][:15]
        self._loose(r, Kind.FAILED, 0, r.fields["ret"], Failed.CLAIM, dev, comm)

    def _um_let_go(self, r: Record) -> None:
        if len(self._let_go) >= _MOST_CLAIMS:
            self._let_go.clear()
        self._let_go[r.tid] = r.fields["dev"]

    def _um_refused(self, r: Record) -> None:
        dev, ret = self._let_go.pop(r.tid, None), r.fields["ret"]
        if dev is not None and ret == -_EBUSY:
            self._loose(r, Kind.FAILED, 0, ret, Failed.MOUNT, dev, r.fields["comm"][:15])

    # ---- path walkers ----

    def _um_walk(self, r: Record) -> None:
        f = r.fields
        if f["mnt"] < self._shift:  # no mount: what was read through it is undefined
            return
        self._loose(r, Kind.WALK, f["mnt"] - self._shift, f["ret"], f["flags"], 0, f["comm"][:15])

    def _um_put(self, r: Record) -> None:
        f = r.fields
        self._loose(r, Kind.PUT, f["mnt"] - self._shift, 0, f["flags"], 0, f["comm"][:15])
