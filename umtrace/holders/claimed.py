"""Claims as holders, for the scans of a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from umtrace.holders import procfs
from umtrace.holders.binfmt import interpreters
from umtrace.holders.carried import carried, closed_rings
from umtrace.holders.claims import Claim, ListedMount
from umtrace.holders.images import images
from umtrace.holders.links import linked_uprobes
from umtrace.holders.mounts import MountTable
from umtrace.holders.served import served
from umtrace.holders.sweep import Sweep
from umtrace.holders.target import Target
from umtrace.model.holders import Holder

#: for the entries of binfmt_misc, which need no server
_LEAST_S = 0.02


def claimed(
    targets: Sequence[Target], table: MountTable, sweep: Sweep
) -> Iterator[tuple[Target, Holder]]:
    """Yield the claims on the targets as holders; a suspect becomes a line in ``sweep.lost``.

    Copies no descriptor and makes no mount: both would be in the recording.
    """
    for claim in _claims(table, sweep):
        place = _Place(claim, table)
        certain = [target for target in targets if claim.sure and place.is_in(target)]
        yield from ((target, claim.holder("mount", place.match)) for target in certain)
        if not certain and any(place.may_be_in(target) for target in targets):
            sweep.lost.append(claim.in_words())


def _claims(table: MountTable, sweep: Sweep) -> Iterator[Claim]:
    mounts = [ListedMount(mount) for mount in table.mounts.values()]
    yield from images(mounts)
    yield from interpreters(mounts, sweep.lost, ask=False, patience_s=max(sweep.left_s, _LEAST_S))
    yield from served()
    yield from linked_uprobes(sweep.links, mounts, sweep.lost)
    yield from closed_rings(sweep.rings)
    for opened in sweep.carriers():
        yield from carried(opened, ask=False)


class _Place:
    """The place of a claim, as far as the mount table of this namespace shows it."""

    def __init__(self, claim: Claim, table: MountTable) -> None:
        self._claim = claim
        self.match = "path" if claim.mnt_id is None else "mount-id"
        seen_as_we_do = claim.pid is None or procfs.mntns(claim.pid) == procfs.mntns("self")
        plain = procfs.undeleted(claim.path)
        self._mount = table.holding(plain) if seen_as_we_do else None
        self._elsewhere = plain if not seen_as_we_do else ""

    def is_in(self, target: Target) -> bool:
        if target.mount is None:
            return False
        return self._mount is target.mount or self._claim.mnt_id == target.mount.mnt_id

    def may_be_in(self, target: Target) -> bool:
        claim = self._claim
        dev = target.mount is not None and claim.dev == target.mount.dev
        return claim.anywhere or dev or self.is_in(target) or target.covers(self._elsewhere)
