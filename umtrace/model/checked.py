"""Build a record from JSON that a stranger may have written: every value of its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

_T = TypeVar("_T")
_LAST = 2**62
_TYPES: dict[str, type] = {"str": str, "bool": bool}


def built(cls: type[_T], values: object) -> _T:
    """Return a dataclass of plain values; keys of a later version are left out.

    Raises ValueError or TypeError for what is no object, misses a value, or has one of
    another type.
    """
    if not isinstance(values, Mapping):
        raise ValueError("no object")  # noqa: TRY004 - one kind of error
    known = {f.name: str(f.type) for f in fields(cls)}  # type: ignore[arg-type]
    given = {name: _plain(value) for name, value in values.items() if name in known}
    for name, value in given.items():
        if not _fits(value, known[name]):
            raise ValueError(f"{name} is {value!r:.40}")
    return cls(**given)


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _fits(value: Any, annotation: str) -> bool:
    if value is None:
        return annotation.endswith("| None")
    wanted = annotation.removesuffix(" | None")
    if wanted == "tuple[str, ...]":
        return isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    if wanted == "tuple[int, ...]":
        return isinstance(value, tuple) and all(_fits(each, "int") for each in value)
    if wanted == "int":
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LAST
    return isinstance(value, _TYPES[wanted])
