"""What files say, checked against the types that describe it: one line that names the file and the place at fault."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, TypeVar

import pydantic

Described = TypeVar("Described")
FILE = pydantic.ConfigDict(extra="forbid")
"""The configuration of pydantic for types that describe files: an unknown key is an error."""
SHOWN = 3  # problems named in a line


def validated(kind: type[Described], content: object, where: str) -> Described:
    """`content`, as parsed from YAML, TOML or JSON, as a value of `kind`; a sequence may become a tuple, no more.

    Raises ValueError, one line that begins with `where` and names the keys at fault.
    """
    return parsed(kind, json.dumps(content, default=str), where)


def parsed(kind: type[Described], text: str, where: str) -> Described:
    """`text` in JSON as a value of `kind`. Raises ValueError as `validated` does."""
    try:
        return _adapter(kind).validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        raise ValueError(f"{where}: {problems(error)}") from error


@functools.cache
def _adapter(kind: Any) -> pydantic.TypeAdapter:
    return pydantic.TypeAdapter(kind)


def problems(error: pydantic.ValidationError) -> str:
    """The first problems of a value, in one line."""
    found = list(dict.fromkeys(_problem(details) for details in error.errors(include_url=False)))
    return "; ".join(found[:SHOWN]) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _problem(details: Any) -> str:
    place, kind = details["loc"], details["type"]
    if "missing" in kind:
        return _at(place[:-1], f"missing key {place[-1]}")
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return _at(place[:-1], f"unknown key {place[-1]}")
    if kind == "json_invalid":
        return f"not valid JSON ({details['ctx']['error']})"
    if kind in ("value_error", "assertion_error"):
        return _at(place, " ".join(details["msg"].split(", ", 1)[1].split()))
    if kind in ("dataclass_type", "dict_type", "model_type"):
        return _at(place, f"must be an object of keys and values, not {_short(details['input'])}")
    message = details["msg"].replace("Input should", "must").replace("String should", "must")
    return _at(place, f"{message}, not {_short(details['input'])}")


def _at(place: Sequence[str | int], what: str) -> str:
    """`what` after the place it is about: keys by name, entries of lists by number.

    >>> _at(("rows", 0, "cell"), "missing key model")
    'row 1, cell: missing key model'
    """
    words: list[str] = []
    for step in place:
        if isinstance(step, int):
            before = words.pop() if words else "entry"
            words.append(f"{before.removesuffix('s')} {step + 1}")
        else:
            words.append(step)
    return f"{', '.join(words)}: {what}" if words else what


def _short(value: object) -> str:
    text = {list: "a list", dict: "an object"}.get(type(value), repr(value))
    return text if len(text) < 60 else f"{text[:56]} ..."
