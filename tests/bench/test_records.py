"""How the records of a ring are counted."""

from __future__ import annotations

from bench import records


def test_records_of_a_ring_are_counted_by_size():
    assert records.counted("Attaching 1 probe...\n\n\n@n[64]: 3000\n@n[352]: 1000\n\n") == {
        64: 3000,
        352: 1000,
    }
    found = records._records({60: 20}, 10)
    assert (found["records"], found["ring_bytes"]) == (2, 2 * (64 + 8))
