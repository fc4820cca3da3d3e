"""Compare the owners in a recording with what the engine said.

``python -m tests.lab.engines.judge DIR…`` prints it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

RIGHT, MISSING, WRONG = "right", "missing", "wrong"


@dataclass
class Verdicts:
    """What was said of the umounts of containers whose owner is known."""

    engine: str
    containers: int
    counts: Counter = field(default_factory=Counter)
    others: list = field(default_factory=list)  #: umounts that nothing ties to a container
    amiss: list = field(default_factory=list)  #: rows that are missing or wrong

    @property
    def share(self):
        """Which part of the umounts has the right owner."""
        total = sum(self.counts.values())
        return self.counts[RIGHT] / total if total else None


def rows_of(recording):
    """Return the umounts of a recording, and the columns that say whose they were."""
    tables = [pq.read_table(file) for file in sorted(recording.glob("umounts-*.parquet"))]
    table = pa.concat_tables(tables, promote_options="default")
    return table.to_pylist()


def judge(folder):
    """Judge one run."""
    told = json.loads((folder / "truth.json").read_text())
    found = Verdicts(told["engine"], len(told["containers"]))
    for row in rows_of(folder / "r.umt"):
        truth = owner_of(row, told["containers"])
        if truth is None:
            found.others.append(row)
            continue
        verdict = verdict_of(row, truth)
        found.counts[verdict] += 1
        if verdict != RIGHT:
            found.amiss.append((verdict, truth["name"], row))
    return found


def owner_of(row, containers):
    """Return the container to which the engine's own paths and namespaces tie an umount."""
    where = [_plain(path) for path in (row.get("mountpoint"), row.get("path")) if path]
    for container in containers:
        if any(_lies_in(path, _plain(own)) for path in where for own in container["paths"]):
            return container
    for container in containers:
        if row["pid"] in container["makers"] or _is_within(row, container):
            return container
    return None


def _is_within(row, container):
    """Whether it is in the container's namespace; the number is given again after its end."""
    begin, end = container["lived"]
    return row["mntns"] == container["mntns"] and begin <= _ns(row["t_start"]) <= end


def _ns(when):
    return when if isinstance(when, int) else when.value


def _plain(path):
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _lies_in(path, folder):
    return path == folder or path.startswith(f"{folder}/")


def verdict_of(row, truth):
    """Compare the row's owner with the truth; a container that has no name has no owner."""
    if "owner" in row:
        said = row["container"] if row["owner_kind"] == "container" else row["owner"]
    else:
        said = row["container"]
    if not truth["identity"]:
        return RIGHT if row["container"] is None else WRONG
    if said is None:
        return MISSING
    same = said == truth["identity"] or (len(said) >= 12 and truth["identity"].startswith(said))
    return RIGHT if same else WRONG


def lines(found, *, most=12):
    """Yield what was found of one run, for a terminal."""
    total = sum(found.counts.values())
    share = "-" if found.share is None else f"{100 * found.share:.0f} %"
    yield (
        f"{found.engine} x {found.containers}: {share} right: {found.counts[RIGHT]} of {total},"
        f" wrong {found.counts[WRONG]}, missing {found.counts[MISSING]};"
        f" not of a known container {len(found.others)}"
    )
    for verdict, name, row in found.amiss[:most]:
        yield f"  {verdict} {name}: {plain_row(row)}"
    for row in found.others[:most]:
        yield f"  - {plain_row(row)}"


def plain_row(row):
    """Return what of a row says whose it is, without what is null."""
    names = ("comm", "origin", "errno", "path", "mountpoint", "container", "owner", "owner_kind")
    names += ("owner_by", "actor_unit", "actor_container", "runtime")
    return {key: row.get(key) for key in names if row.get(key) is not None}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        for line in lines(judge(Path(argument))):
            sys.stdout.write(f"{line}\n")
