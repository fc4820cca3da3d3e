"""Device numbers: twenty bits of minor number, as in the kernel's memory."""

from __future__ import annotations

import pytest

from umtrace.model.devices import MINOR_BITS, device_name, device_number


@pytest.mark.parametrize(
    ("number", "name"),
    [(0x63, "0:99"), (7 << 20 | 1, "7:1"), (259 << 20 | 0xFFFFF, "259:1048575"), (0, "0:0")],
)
def test_a_number_and_its_name(number, name):
    assert (device_name(number), device_number(name)) == (name, number)
    assert number >> MINOR_BITS == int(name.partition(":")[0])


def test_what_is_no_name_is_refused():
    with pytest.raises(ValueError, match="invalid literal"):
        device_number("loop0")
