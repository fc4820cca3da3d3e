"""Whose umounts belong together: the one place that knows the columns of an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from umtrace.stats.buckets import Int64
from umtrace.stats.groups import distinct, encode, first_rows

NAMESPACE = "namespace"
#: the columns of a row that are read for its owner
COLUMNS = ("owner", "owner_kind", "owner_by", "container", "mntns")


class Owner(NamedTuple):
    """Whose mounts were taken down.

    ``by`` says how that is known, as ``owner_by`` of a row does; `task` is the namespace of the
    task that unmounted. ``id`` is the container's, if there is one: a name may be given again.
    """

    kind: str
    name: str
    by: str
    id: str = ""

    def is_same(self, other: Owner) -> bool:
        """Whether it is the same owner, however that is known."""
        return (self.kind, self.name, self.id) == (other.kind, other.name, other.id)

    def is_called(self, begin: str) -> bool:
        """Whether its name or id begins so."""
        return self.name.startswith(begin) or (bool(self.id) and self.id.startswith(begin))


def owners(batch: pa.RecordBatch) -> tuple[Int64, list[Owner | None]]:
    """Return the owner of each row as a place in a list of owners; None is not known.

    The first that is known: the row's owner, its container, its mount namespace. Evidence does not
    tell owners apart: of two rows of one owner, the first says how it is known.
    """
    encoded = [encode(batch.column(name)) for name in COLUMNS]
    whole, bound = np.zeros(batch.num_rows, np.int64), 1
    for codes, values in encoded:
        whole = whole * max(len(values), 1) + codes
        bound *= max(len(values), 1)
    found_codes, places = distinct(whole, bound)
    first = first_rows(found_codes.size, places)
    found: dict[tuple[str, str, str] | None, int] = {}
    listed: list[Owner | None] = []
    numbers = np.zeros(first.size, np.int64)
    for number, row in enumerate(first.tolist()):
        values_of = {
            name: values[codes[row]] for name, (codes, values) in zip(COLUMNS, encoded, strict=True)
        }
        owner = next(_known(values_of), None)
        key = owner and (owner.kind, owner.name, owner.id)
        if key not in found:
            listed.append(owner)
        numbers[number] = found.setdefault(key, len(found))
    return numbers[places], listed


def _known(row: dict[str, Any]) -> Iterator[Owner]:
    container = str(row["container"] or "")
    if row["owner"] is not None:
        kind, by = row["owner_kind"] or "owner", row["owner_by"] or ""
        yield Owner(str(kind), str(row["owner"]), str(by), container)
    if container:
        yield Owner("container", container, "container", container)
    if row["mntns"] is not None:
        yield Owner(NAMESPACE, str(row["mntns"]), "task")
