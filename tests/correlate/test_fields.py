from __future__ import annotations

from typing import get_args

from umtrace.correlate.fields import FIELDS, FieldName


def test_the_type_checker_knows_each_field():
    assert get_args(FieldName) == tuple(FIELDS)
