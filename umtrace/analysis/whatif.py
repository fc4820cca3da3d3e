"""What a simulation found, as DataFrames: the designs, and the quantiles of their times."""

from __future__ import annotations

import pandas as pd

from umtrace.analysis.frames import rows_to_frame
from umtrace.whatif.answers import WhatIf
from umtrace.whatif.tables import design_rows, number_rows, time_rows, waiting_rows


def designs_frame(found: WhatIf) -> pd.DataFrame:
    """Return one row per design; columns of `umtrace.whatif.tables.DESIGN_COLUMNS`."""
    frame = rows_to_frame(design_rows(found)).set_index("design")
    typed: pd.DataFrame = frame.astype({"mount_ns": "Float64"})
    return typed


def times_frame(found: WhatIf) -> pd.DataFrame:
    """Return one row per design, time, kind and quantile; columns of ``TIME_COLUMNS``."""
    return rows_to_frame(time_rows(found))


def numbers_frame(found: WhatIf) -> pd.DataFrame:
    """Return one row per design and number; columns of ``NUMBER_COLUMNS``."""
    frame = rows_to_frame(number_rows(found))
    typed: pd.DataFrame = frame.astype(dict.fromkeys(("value", "low", "high"), "Float64"))
    return typed


def waiting_frame(found: WhatIf) -> pd.DataFrame:
    """Return whose umounts wait, design by design; columns of ``WAITING_COLUMNS``."""
    return rows_to_frame(waiting_rows(found))
