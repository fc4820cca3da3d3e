"""Records of tasks that are in no operation: claims and mounts that fail, and path walkers."""

from __future__ import annotations

from umtrace.model.events import FOREIGN, Failed, Kind, Unseen
from umtrace.sources.ftrace.batches import event_of
from umtrace.sources.ftrace.open_operations import OpenOperations
from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.task_tracker import TaskTracker

_EBUSY = 16
_MOST_CLAIMS = 4096


class ForeignTasks(OpenOperations):
    """The handlers of these records; their events have no sequence number.

    Parameters
    ----------
    shift : int
        From a ``struct vfsmount`` back to its ``struct mount``.
    """

    def __init__(self, lineage: TaskTracker, unseen: Unseen, *, counts: bool, shift: int) -> None:
        super().__init__(lineage, unseen, counts=counts)
        self._shift = shift
        self._claims: dict[int, int] = {}  # task -> device it claims
        self._dropped_sb: dict[int, int] = {}  # task -> device of the superblock it dropped last

    def _emit_foreign(
        self, r: Record, kind: Kind, mnt: int, ret: int, a: int, b: int, comm: bytes
    ) -> None:
        """Add an event of a task that is in no operation."""
        who, cpu = (r.tid, self._lineage.tgid(r.tid)), r.cpu | FOREIGN
        event = event_of(kind, r.ts_ns, cpu, who, mnt=mnt, ret=ret, a=a, b=b, comm=comm)
        self._out.events.append(event)

    # ---- block devices that are in use: a claim fails ----

    def _um_claim(self, r: Record) -> None:
        if len(self._claims) >= _MOST_CLAIMS:
            self._claims.clear()  # the return of a claim that succeeds makes no record
        self._claims[r.tid] = r.fields["dev"]

    def _um_claimed(self, r: Record) -> None:
        dev, comm = self._claims.pop(r.tid, 0), r.fields["comm"][:15]
        self._emit_foreign(r, Kind.FAILED, 0, r.fields["ret"], Failed.CLAIM, dev, comm)

    def _um_dropped_sb(self, r: Record) -> None:
        if len(self._dropped_sb) >= _MOST_CLAIMS:
            self._dropped_sb.clear()
        self._dropped_sb[r.tid] = r.fields["dev"]

    def _um_refused(self, r: Record) -> None:
        dev, ret = self._dropped_sb.pop(r.tid, None), r.fields["ret"]
        if dev is not None and ret == -_EBUSY:
            self._emit_foreign(r, Kind.FAILED, 0, ret, Failed.MOUNT, dev, r.fields["comm"][:15])

    # ---- path walkers ----

    def _um_walk(self, r: Record) -> None:
        f = r.fields
        if f["mnt"] < self._shift:  # NULL, so what was fetched through it is undefined
            return
        self._emit_foreign(
            r, Kind.WALK, f["mnt"] - self._shift, f["ret"], f["flags"], 0, f["comm"][:15]
        )

    def _um_put(self, r: Record) -> None:
        f = r.fields
        self._emit_foreign(r, Kind.PUT, f["mnt"] - self._shift, 0, f["flags"], 0, f["comm"][:15])
