from __future__ import annotations

from umtrace.model.windows import EbusyWindow, windows_to_arrow


def test_what_fits_into_no_column_is_not_known():
    window = EbusyWindow(
        klass="held", spurious=False, begin_ns=1, end_ns=2, cost_ns=2**63, attempts=2**31
    )
    (row,) = windows_to_arrow([window]).to_pylist()
    assert (row["cost_ns"], row["attempts"], row["spurious"]) == (None, None, False)
