"""Mounts by a number that says nothing of the kernel's memory.

An event names its mount by the address of the kernel's structure. A recording is given to
others, whom that would tell where the kernel keeps its data. All that is asked of the number is
whether two are the same.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace

import numpy as np

from umtrace.model.events import EventBatch

_BYTES = 8


class MountIdentities:
    """Replaces addresses by a keyed hash; the key lives as long as the recorder and is not stored.

    The same mount has the same number in one recording, and another one in the next. 0 stays 0:
    unknown.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def hide(self, batch: EventBatch) -> EventBatch:
        """Return the batch with its mounts renumbered; the given one is left as it is."""
        if not len(batch.events) or not batch.events["mnt"].any():
            return batch
        addresses, where = np.unique(batch.events["mnt"], return_inverse=True)
        numbers = np.array([self._number(address) for address in addresses.tolist()], "<u8")
        events = batch.events.copy()
        events["mnt"] = numbers[where]
        return replace(batch, events=events)

    def _number(self, address: int) -> int:
        if not address:
            return 0
        data = address.to_bytes(_BYTES, "little")
        found = hashlib.blake2b(data, digest_size=_BYTES, key=self._key).digest()
        return int.from_bytes(found, "little") or 1
