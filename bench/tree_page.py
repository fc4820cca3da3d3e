"""The tables of docs/overhead.md on trees: namespaces that end, umounts that are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.table import table

Row = dict[str, Any]
#: mounts of the namespace whose figure the README has
MANY = 1500
_KINDS = {
    "copy": ("a copy", "The namespace is a copy of a living one, with the same superblocks."),
    "own": ("its own mounts", "The namespace has mounted them itself."),
}


def trees(samples: Sequence[Row]) -> str:
    """Return the tables of the part `tree`."""
    parts = [_namespaces(samples, kind) for kind in _KINDS]
    if any("spread-0" in sample.get("traced", {}) for sample in samples):
        parts.append(_spread(samples))
    return "\n".join(parts)


def each_more(sample: Row, mounts: int, kind: str = "copy") -> float:
    """Return the instructions that a tracer adds for each further mount of a namespace."""
    few, many = (_added_ns(sample, f"{kind}-{size}") for size in (0, mounts))
    return (many - few) / mounts


def _namespaces(samples: Sequence[Row], kind: str) -> str:
    sizes, (name, about) = _sizes(samples, kind), _KINDS[kind]
    rows = []
    for sample in samples:
        if "refused" in sample:
            rows.append(_refused(sample, len(sizes) + 1))
            continue
        each = (_each(sample, kind, size) for size in sizes[1:])
        rows.append((sample["tool"], _added(sample, f"{kind}-0"), *each, _waited(sample, kind)))
    return table(
        f"Instructions until a task has left its mount namespace, which ends: {name}",
        ("tracer", "18 mounts", *(f"{size:,} more, each" for size in sizes[1:]),
         f"{MANY + 18:,} mounts, median and mean"),
        rows,
        f"One CPU as above. {about} The least of nine, where the reader did not run meanwhile. "
        "With 10,000 bind mounts it is of five, and the reader may run in each. "
        "Untraced in brackets. Median and mean, as multiples of untraced, have the reader in "
        "them, which has no other CPU here.",
    )  # fmt: skip


def _spread(samples: Sequence[Row]) -> str:
    sizes = _sizes(samples, "spread")
    rows = []
    for sample in samples:
        if "refused" in sample:
            rows.append(_refused(sample, len(sizes) + 1))
            continue
        if "spread-0" not in sample["traced"]:
            continue
        few, many = (_added_ns(sample, f"spread-{size}") for size in (sizes[0], sizes[-1]))
        more = f"{(many - few) / sizes[-1]:+,.0f}"
        rows.append((sample["tool"], *(_added(sample, f"spread-{size}") for size in sizes), more))
    return table(
        "Instructions of an umount(2) that is spread to other mount namespaces",
        ("tracer", "to none", *(f"to {size}" for size in sizes[1:]), "each namespace more"),
        rows,
        "One CPU as above: a tmpfs on a shared mount, of which each other namespace has a copy. "
        "The least of nine.",
    )


def _sizes(samples: Sequence[Row], kind: str) -> list[int]:
    loops = {loop for sample in samples for loop in sample.get("traced", {})}
    return sorted(int(loop.removeprefix(f"{kind}-")) for loop in loops if loop.startswith(kind))


def _refused(sample: Row, others: int) -> tuple[str, ...]:
    return (sample["tool"], f"did not run: {sample['refused']}", *[""] * (others - 1))


def _added_ns(sample: Row, loop: str) -> float:
    return float(sample["traced"][loop]["least_ns"] - sample["untraced"][loop]["least_ns"])


def _added(sample: Row, loop: str) -> str:
    if loop not in sample["traced"]:
        return "-"
    return f"{_added_ns(sample, loop):+,.0f} ({sample['untraced'][loop]['least_ns']:,.0f})"


def _each(sample: Row, kind: str, size: int) -> str:
    few, many = f"{kind}-0", f"{kind}-{size}"
    if many not in sample["traced"]:
        return "-"
    plain = sample["untraced"][many]["least_ns"] - sample["untraced"][few]["least_ns"]
    return f"{each_more(sample, size, kind):+,.0f} ({plain / size:,.0f})"


def _waited(sample: Row, kind: str) -> str:
    traced, plain = (sample[side][f"{kind}-{MANY}"] for side in ("traced", "untraced"))
    middle = traced["median_ns"] / plain["median_ns"]
    return f"{middle:.1f} x, {traced['mean_ns'] / plain['mean_ns']:.1f} x"
