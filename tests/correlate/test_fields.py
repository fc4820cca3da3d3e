from __future__ import annotations

from pathlib import Path
from typing import get_args

from umtrace.correlate import fields
from umtrace.correlate.fields import ENDED, FIELDS, WAIT_NS, WAITS, FieldName


def test_the_type_checker_knows_each_field():
    assert get_args(FieldName) == tuple(FIELDS)


def test_each_field_is_of_use():
    package = Path(fields.__file__).parent
    others = [path for path in package.glob("*.py") if path.name != "fields.py"]
    text = "\n".join(path.read_text() for path in others)
    named = set(FIELDS) - {*WAIT_NS.values(), *WAITS.values(), *ENDED.values()}
    assert [name for name in sorted(named) if f'"{name}"' not in text] == []
