"""The objects that the nodes of a config describe, each checked against the signature of its `_target_`.

A key that the target does not have, a wrong type, an unknown choice or a value out of range raises `ConfigError`:
one line that names the key and how to mend it.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pydantic


class ConfigError(ValueError):
    """A configuration that cannot run; its text is one line for the person who wrote it."""


def build(node: Any, path: str, **supplied: Any) -> Any:
    """The object a `_target_` node describes, its nested `_target_` nodes first.

    With `_partial_: true` the target is not called: a callable is returned that waits for its
    remaining arguments (sizes, `rngs`), the given ones being checked now.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ConfigError(f"`{path}` needs a `_target_`: choose one of its group's options")
    values = dict(node)
    name, partial = values.pop("_target_"), values.pop("_partial_", False)
    if not isinstance(partial, bool):
        raise ConfigError(f"`{path}._partial_`={partial!r}: must be true or false")
    target = _target(name, f"{path}._target_")
    nested = {k: build(v, f"{path}.{k}") for k, v in values.items() if _is_node(v)}
    plain = {k: v for k, v in values.items() if k not in nested}
    arguments = (
        checked_arguments(target, plain, path, supplied=(*supplied, *nested), partial=partial) | nested
    )
    if partial:
        return functools.partial(target, **arguments, **supplied)
    try:
        return target(**arguments, **supplied)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"`{path}`: {first_line(error)}") from error


def _target(name: Any, path: str) -> Callable:
    module, _, attribute = str(name).rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"`{path}`: cannot import {name}: {first_line(error)}") from error


def _is_node(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def checked_arguments(
    target: Callable, values: Mapping, path: str, supplied: Iterable[str], partial=False
) -> dict:
    """`values` as the keyword arguments of `target`, coerced to its annotations; raises ConfigError."""
    schema = _schema(target, tuple(supplied), partial)
    known = list(schema.model_fields)
    for key in values:
        if key not in known and key not in supplied:
            place = _join(path, key)
            raise ConfigError(f"{unknown_key(place, key, known)}; ~{place} leaves it out")
    try:
        checked = schema.model_validate_json(json.dumps(values), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError(_first_problem(error, values, path)) from error
    return {key: getattr(checked, key) for key in known if key in checked.model_fields_set}


@functools.cache
def _schema(target: Callable, supplied: tuple[str, ...], partial: bool) -> type[pydantic.BaseModel]:
    described = described_by(target)
    hints = typing.get_type_hints(described, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(described).parameters.items():
        if name in ("self", *supplied) or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        if required and partial:
            default: Any = None  # whoever completes the partial supplies it
            fields[name] = (Any, default)
            continue
        fields[name] = (_plain(hints.get(name, Any)), ... if required else parameter.default)
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return pydantic.create_model("Schema", __config__=config, **fields)


def described_by(target: Callable) -> Callable:
    """What states the parameters of `target`: of a class its __init__ (the metaclass of NNX hides it), unless it is
    a dataclass."""
    return (
        target.__init__ if inspect.isclass(target) and not hasattr(target, "__dataclass_fields__") else target
    )


def _plain(hint: Any) -> Any:
    """A hint that JSON can satisfy: callables and modules in a union are left to the code."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if not _is_opaque(option)]
        return typing.Union[tuple(options)] if options else Any  # noqa: UP007
    return Any if _is_opaque(hint) else hint


def _is_opaque(hint: Any) -> bool:
    return typing.get_origin(hint) is Callable or hint is Callable or "Callable" in str(hint)


def _first_problem(error: pydantic.ValidationError, values: Mapping, path: str) -> str:
    problem = error.errors()[0]
    location = [str(part) for part in problem["loc"]]
    key = _join(path, location[0]) if location else path
    if problem["type"] == "missing" and len(location) <= 1:
        return f"`{key}` is missing: give it a value"
    given = values.get(location[0]) if location else values
    message = problem["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return f"`{key}`={given!r}: {message[:1].lower()}{message[1:]}"


def unknown_key(path: str, key: str, known: Sequence[str]) -> str:
    """What to say of a key at `path` that is not among the `known`, with the nearest one."""
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"`{path}` is not a key here: {hint}known keys: {', '.join(known) or 'none'}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def first_line(error: Exception) -> str:
    """The message of an error, cut to its first line; its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
