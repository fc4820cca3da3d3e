"""The event and name records as numpy dtypes; the mirror of ``bpf/event.h``.

The layout is checked by a test that compiles the header; the header's comments
say what each field means for each kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from umtrace.model.kinds import (
    ARMING_MASK,
    ARMING_NS_SHIFT,
    ARMING_SHIFT,
    FOREIGN,
    IS_TARGET,
    NESTED,
    OPENERS,
    PUT_EARLIER,
    PUT_EXITING,
    PUT_FIRST_EXEC,
    PUT_SETTLED,
    PUT_WALKED,
    WAITS_SHIFT,
    WALKERS_WATCHED,
    Exit,
    Failed,
    GracePeriod,
    Kind,
    Loss,
    NameKind,
    OnStack,
    Origin,
    Returned,
    Unseen,
)

__all__ = [
    "ARMING_MASK",
    "ARMING_NS_SHIFT",
    "ARMING_SHIFT",
    "EVENT_DTYPE",
    "FOREIGN",
    "IS_TARGET",
    "NAME_DTYPE",
    "NAME_TEXT",
    "NESTED",
    "OPENERS",
    "PUT_EARLIER",
    "PUT_EXITING",
    "PUT_FIRST_EXEC",
    "PUT_SETTLED",
    "PUT_WALKED",
    "WAITS_SHIFT",
    "WALKERS_WATCHED",
    "Array",
    "EventBatch",
    "Exit",
    "Failed",
    "GracePeriod",
    "Kind",
    "Loss",
    "NameKind",
    "OnStack",
    "Origin",
    "Returned",
    "Unseen",
]

EVENT_DTYPE = np.dtype(
    [
        ("ts_ns", "<u8"),
        ("mnt", "<u8"),
        ("tid", "<u4"),
        ("tgid", "<u4"),
        ("kind", "<u2"),
        ("cpu", "<u2"),
        ("ret", "<i4"),
        ("a", "<u8"),
        ("b", "<u4"),
        ("seq", "<u4"),
        ("comm", "S16"),
    ]
)

NAME_TEXT = 232

NAME_DTYPE = np.dtype(
    [
        ("ts_ns", "<u8"),
        ("tid", "<u4"),
        ("kind", "<u2"),
        ("part", "<u2"),
        ("len", "<u4"),
        ("more", "<u4"),
        ("text", f"V{NAME_TEXT}"),
    ]
)

BIRTH_TEXT = 488

#: a cgroup that was made or removed; ``len`` is `BIRTH_TEXT` if the path was cut
BIRTH_DTYPE = np.dtype([("id", "<u8"), ("gone", "<u4"), ("len", "<u4"), ("path", f"V{BIRTH_TEXT}")])

Array = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """What a source delivers at once.

    Attributes
    ----------
    events : ndarray, shape (n,), dtype EVENT_DTYPE
        In the order of the ring buffer; the events of one task are in time order.
    names : ndarray, shape (m,), dtype NAME_DTYPE
        Holds at least the names of every ENTER event up to this batch that were
        not lost; a name may come earlier than its event, never later.
    births : ndarray, shape (k,), dtype BIRTH_DTYPE
        Cgroups that were made or removed, in this order; not recorded.
    """

    events: Array = field(default_factory=lambda: np.empty(0, EVENT_DTYPE))
    names: Array = field(default_factory=lambda: np.empty(0, NAME_DTYPE))
    births: Array = field(default_factory=lambda: np.empty(0, BIRTH_DTYPE))
