"""What makes two runs the same: one canonical form of the built objects, from which variant and id follow.

Two configurations are equal where the objects built from them are, however their words were written: defaults
that are stated, `1` for `1.0`, or another module for the same class make no difference.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any

from experiments.config.build import described_by

NODES = ("task", "model", "embedding", "parameterization", "optimizer", "trainer")
"""The nodes of a config that determine the numbers of a run."""
KIND = "_target_"
UNQUOTED = re.compile(r"[A-Za-z0-9_.-]+")  # what needs no quotes in the grammar of overrides


def canonical(value: Any) -> Any:
    """A built object as JSON values: its class by name, all its settings, defaults included.

    A dataclass gives its fields (those of `experiments.task.PATHS` the names of their files), a `functools.partial`
    the settings of its target. Whole numbers are integers.
    Raises TypeError for what is no setting, such as an array.

    >>> canonical(functools.partial(dict, mean=2.0, stages=(1, 2.5)))
    {'_target_': 'dict', 'mean': 2, 'stages': [1, 2.5]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: field.metadata.get("identity", _itself)(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
        return {KIND: type(value).__name__} | {name: canonical(own) for name, own in fields.items()}
    if isinstance(value, functools.partial):
        settings = _defaults(value.func) | value.keywords
        return {KIND: value.func.__name__} | {name: canonical(own) for name, own in settings.items()}
    if isinstance(value, Mapping):
        return {str(name): canonical(own) for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(own) for own in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} is no setting of a run")


def _itself(value: Any) -> Any:
    return value


def _defaults(target: Any) -> dict[str, Any]:
    """The default settings of a target that waits for further arguments."""
    try:
        parameters = inspect.signature(described_by(target)).parameters.values()
    except ValueError:  # a built-in
        return {}
    plain = (bool, int, float, str, list, tuple, type(None))
    return {
        p.name: p.default for p in parameters if p.default is not p.empty and isinstance(p.default, plain)
    }


def without_off(value: Any) -> Any:
    """A canonical form without the settings that are off: null, false or empty.

    A new option that is off unless somebody asks for it then changes no id.

    >>> without_off({"gap": None, "smooth": False, "steps": 0, "lid": {"stages": []}})
    {'steps': 0, 'lid': {}}
    """
    if not isinstance(value, Mapping):
        return value
    return {
        name: without_off(own)
        for name, own in value.items()
        if own is not None and own is not False and own != []
    }


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys.

    >>> flatten({"task": {"size": 64, "scale": [1, 2]}})
    {'task.size': 64, 'task.scale': [1, 2]}
    """
    if not isinstance(node, Mapping):
        return {prefix: node}
    flat = {}
    for key, value in node.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of `ours` that differ from `theirs`, canonical forms both, as words for the command line.

    >>> differences({"task": {"c": 20, "stages": [{"value": 1}]}}, {"task": {"c": 50, "stages": []}})
    ('task.c=20', 'task.stages=[{value:1}]')
    """
    usual = flatten(theirs)
    changed = {key: value for key, value in flatten(ours).items() if key not in usual or usual[key] != value}
    return tuple(sorted(f"{key}={word(value)}" for key, value in changed.items()))


def word(value: Any) -> str:
    """A canonical value in the grammar of Hydra's overrides.

    >>> word(None), word([1, {"steps": 20}]), word("a b"), word("20")
    ('null', '[1,{steps:20}]', "'a b'", "'20'")
    """
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        settings = {
            key: own for key, own in value.items() if key != KIND
        }  # the place says of which kind it is
        return "{" + ",".join(f"{key}:{word(own)}" for key, own in settings.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(word, value)) + "]"
    if not isinstance(value, str):
        return str(value)
    if UNQUOTED.fullmatch(value) and not _reads_otherwise(value):
        return value
    # Backslashes escape in front of a quote alone, the last one included.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def _reads_otherwise(text: str) -> bool:
    """Whether Hydra would take the unquoted text for no string."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("null", "true", "false")
    return True
