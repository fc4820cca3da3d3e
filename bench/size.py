"""What recordings take on disk for each umount, table by table and column by column.

.venv/bin/python -m bench.size recordings/*.umt
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

_SHOWN = 6


def columns(path: Path, kind: str) -> tuple[int, Counter[str]]:
    """Return the rows of a table, and the compressed bytes of each of its columns."""
    rows, sizes = 0, Counter[str]()
    for file in sorted(path.glob(f"{kind}-*.parquet")):
        about = pq.ParquetFile(file).metadata
        rows += about.num_rows
        for group in range(about.num_row_groups):
            for number in range(about.num_columns):
                column = about.row_group(group).column(number)
                sizes[column.path_in_schema] += column.total_compressed_size
    return rows, sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recordings", nargs="+", type=Path)
    for path in parser.parse_args().recordings:
        umounts = max(columns(path, "umounts")[0], 1)
        whole = sum(file.stat().st_size for file in path.iterdir())
        print(f"{path.name}: {umounts:,} umounts, {whole / umounts:.1f} bytes each")
        for kind in ("umounts", "events", "names", "holders", "ebusy"):
            rows, sizes = columns(path, kind)
            most = ", ".join(f"{n} {s / umounts:.1f}" for n, s in sizes.most_common(_SHOWN))
            each = f"{rows / umounts:5.1f} rows {sum(sizes.values()) / umounts:6.1f} bytes"
            print(f"  {kind:<8}{each}  {most}")


if __name__ == "__main__":
    main()
