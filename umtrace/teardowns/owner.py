"""Whose umounts belong together: the one place that knows the columns of an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from umtrace.model.umounts import SCHEMA
from umtrace.stats.buckets import Int64
from umtrace.stats.groups import encode

NAMESPACE = "namespace"
_WANTED = ("owner", "owner_kind", "owner_by", "container", "mntns")
#: the columns of a row that are read for its owner
COLUMNS = tuple(name for name in _WANTED if name in SCHEMA.names)


class Owner(NamedTuple):
    """Whose mounts were taken down.

    ``by`` says how that is known: `mntns` for the namespace of the task that unmounted.
    """

    kind: str
    name: str
    by: str


def owners(batch: pa.RecordBatch) -> tuple[Int64, list[Owner | None]]:
    """Return the owner of each row as a place in a list of owners; None is not known.

    The first that is known: the row's owner, its container, its mount namespace.
    """
    encoded = [encode(batch.column(name)) for name in COLUMNS]
    whole = np.zeros(batch.num_rows, np.int64)
    for codes, values in encoded:
        whole = whole * max(len(values), 1) + codes
    distinct, first, places = np.unique(whole, return_index=True, return_inverse=True)
    found: dict[Owner | None, int] = {}
    numbers = np.zeros(distinct.size, np.int64)
    for number, row in enumerate(first.tolist()):
        values_of = {
            name: values[codes[row]] for name, (codes, values) in zip(COLUMNS, encoded, strict=True)
        }
        owner = next(_known(values_of), None)
        numbers[number] = found.setdefault(owner, len(found))
    return numbers[places], list(found)


def _known(row: dict[str, Any]) -> Iterator[Owner]:
    if row.get("owner") is not None:
        yield Owner(row.get("owner_kind") or "owner", str(row["owner"]), row.get("owner_by") or "")
    if row.get("container") is not None:
        yield Owner("container", str(row["container"]), "container")
    if row.get("mntns") is not None:
        yield Owner(NAMESPACE, str(row["mntns"]), "mntns")
