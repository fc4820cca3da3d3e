"""Made-up event streams with the shape of real ones, at any length, by array code."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from umtrace.model.events import (
    EVENT_DTYPE,
    IS_TARGET,
    NAME_DTYPE,
    NAME_TEXT,
    EventBatch,
    GracePeriod,
    Kind,
    NameKind,
    OnStack,
)

_RCU = int(OnStack.UNLOCK | OnStack.RCU)
#: tier -> the events of one umount that succeeds, in order, with ns since the last
SHAPES = {
    "tracepoint": (
        (Kind.ENTER, 0), (Kind.OFF_CPU, 9_000), (Kind.ON_CPU, 40_000), (Kind.EXIT, 2_000),
        (Kind.RETURNED, 5_000),
    ),
    "fentry": (
        (Kind.ENTER, 0), (Kind.MOUNT, 1_000), (Kind.PATH_UMOUNT, 100), (Kind.CHECK, 300),
        (Kind.CHECKED, 900), (Kind.TREE, 200), (Kind.UNLOCK, 1_500), (Kind.RCU, 300),
        (Kind.RCU_EXIT, 41_300),
        (Kind.UNLOCK_EXIT, 800), (Kind.PATH_UMOUNT_EXIT, 200), (Kind.EXIT, 300),
        (Kind.CLEANUP, 500), (Kind.CLEANUP_EXIT, 9_000), (Kind.RETURNED, 700),
    ),
}  # fmt: skip


def stream(
    tier: str, n_events: int, *, batch: int = 65_536, tasks: int = 64
) -> Iterator[EventBatch]:
    """Yield about ``n_events`` in batches: ``tasks`` tasks that unmount at the same time."""
    shape = SHAPES[tier]
    rounds = max(batch // (len(shape) * tasks), 1)
    size = rounds * len(shape) * tasks
    for number in range(max(n_events // size, 1)):
        yield _batch(shape, number * rounds, rounds, tasks)


def _batch(shape: tuple[tuple[Kind, int], ...], first: int, rounds: int, tasks: int) -> EventBatch:
    kinds = np.array([kind for kind, _ in shape], np.uint16)
    after = np.cumsum([ns for _, ns in shape]).astype(np.uint64)
    period = after[-1] + np.uint64(20_000)
    events = np.zeros((rounds, len(shape), tasks), EVENT_DTYPE)
    number = np.arange(first, first + rounds, dtype=np.uint64)[:, None, None]
    task = np.arange(tasks, dtype=np.uint64)[None, None, :]
    jitter = (number * np.uint64(2654435761) + task * np.uint64(40503)) % np.uint64(997)
    begin = np.uint64(10**9) + number * period * np.uint64(2) + task * np.uint64(311)
    scale = np.uint64(1000) + jitter
    events["ts_ns"] = begin + after[None, :, None] * scale // np.uint64(1000)
    events["tid"] = events["tgid"] = 1000 + task
    events["kind"] = kinds[None, :, None]
    events["seq"] = number * 1000 + np.arange(len(shape), dtype=np.uint64)[None, :, None]
    events["comm"] = b"umount"
    events["mnt"] = 0xFFFF888000000000 + (number * np.uint64(tasks) + task) * 512
    _fill(events, kinds, number, task)
    names = _names(events[:, 0, :], NameKind.PATH, "/var/lib/containers/{:05}/merged")
    if Kind.MOUNT in kinds:
        mounts = events[:, kinds.tolist().index(Kind.MOUNT), :]
        source = _names(mounts, NameKind.SOURCE, "overlay")
        spelled = _names(mounts, NameKind.MOUNTPOINT, "merged\0{:05}\0containers\0lib\0var\0\0")
        names = np.concatenate([names, source, spelled])
    flat = events.reshape(-1)
    # As the rings hold them: by time, tasks mixed.
    return EventBatch(flat[np.argsort(flat["ts_ns"], kind="stable")], names)


def _names(events: np.ndarray, kind: NameKind, form: str) -> np.ndarray:
    names = np.zeros(events.shape, NAME_DTYPE)
    names["ts_ns"], names["tid"], names["kind"] = events["ts_ns"], events["tid"], kind
    texts = [form.format(i).encode() for i in range(events.size)]
    fixed = np.array(texts, f"S{NAME_TEXT}").view(f"V{NAME_TEXT}")
    names["text"], names["len"] = fixed.reshape(events.shape), len(texts[0])
    return names.reshape(-1)


def _fill(events: np.ndarray, kinds: np.ndarray, number: np.ndarray, task: np.ndarray) -> None:
    for index, kind in enumerate(kinds.tolist()):
        one = events[:, index, :]
        if kind == Kind.ENTER:
            one["a"], one["b"] = 7 + task[0] % 16, 4026531841
            one["ret"] = np.where((number + task)[:, 0, :] % 4 == 0, 2, 0)
        elif kind == Kind.OFF_CPU:
            one["a"] = _RCU
        elif kind == Kind.RETURNED:
            one["a"] = 1
        elif kind == Kind.MOUNT:
            one["a"], one["b"], one["comm"] = 100 + task[0], 0x10002A, b"tmpfs"
        elif kind == Kind.CHECKED:
            one["a"] = 2
        elif kind == Kind.UNLOCK:
            one["a"] = 1
        elif kind == Kind.RCU_EXIT:
            one["ret"] = GracePeriod.OWN
        elif kind == Kind.CLEANUP:
            one["ret"] = IS_TARGET
