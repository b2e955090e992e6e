"""Dataclasses from files that anybody may have written: every value must have its field's type."""

import json
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_type_hints

Made = TypeVar("Made")


def from_json(text: str | bytes) -> Any:
    """Parse JSON. Raises `ValueError` where it is none, or lists lie too deep in one another."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("lists that lie too deep in one another") from error


def from_plain(cls: type[Made], values: Any) -> Made:
    """A dataclass of plain fields (str, int, float, bool or None) from a mapping of their names.

    Raises:
        ValueError: a field is missing, not known, or of another type; names it.
    """
    if not isinstance(values, dict):
        raise ValueError(f"found a {type(values).__name__} in the place of a {cls.__name__}")
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - set(names)):
        raise ValueError(f"a {cls.__name__} has no {unknown[0]}")
    for name, value in values.items():
        kinds = get_args(hints[name]) or (hints[name],)
        fits = type(value) in kinds or (type(value) is int and float in kinds)
        if not fits:
            raise ValueError(f"{name} of a {cls.__name__} is {str(value)[:60]!r}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"not a {cls.__name__}: {error}") from error
