"""The search space of `experiments.tune`: a YAML file that maps settings to what they may be."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from experiments.config.compose import CONFIGS, ConfigError, check_network, configure, group_options

DIGITS = 4  # significant ones of a number that is tried, so that runs have readable names


def load_space(name: str) -> dict[str, Any]:
    """The space called `name` in configs/search/, or in the YAML file at the path `name`. Raises ConfigError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / "search" / f"{name}.yaml"
    if not path.exists():
        raise ConfigError(
            f"no search space {name!r}: choices: {', '.join(group_options('search'))}, or a file"
        )
    try:
        space = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
    if not isinstance(space, Mapping) or not space:
        raise ConfigError(f"{path}: a search space maps settings to {{low, high}} or to lists of choices")
    for key, values in space.items():
        if problem := _problem(values):
            raise ConfigError(f"{path}: {key}: {problem}")
    return dict(space)


def _problem(values: Any) -> str | None:
    if isinstance(values, list):
        return None if values else "an empty list of choices"
    if not isinstance(values, Mapping) or not {"low", "high"} <= set(values):
        return "needs {low, high} or a list of choices"
    if unknown := set(values) - {"low", "high", "log", "step"}:
        return f"unknown {', '.join(sorted(unknown))}: known are low, high, log, step"
    low, high = values["low"], values["high"]
    if not all(isinstance(bound, (int, float)) for bound in (low, high)) or low >= high:
        return f"low={low} must be a number below high={high}"
    if values.get("log") and (low <= 0 or "step" in values):
        return "log needs low above 0, and no step"
    return None


def suggested(trial: Any, space: Mapping[str, Any]) -> list[str]:
    """The settings that an Optuna trial suggests, as command-line words."""
    return [f"{key}={_suggest(trial, key, values)}" for key, values in space.items()]


def _suggest(trial: Any, key: str, values: Any) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(key, values)
    low, high, step, log = values["low"], values["high"], values.get("step"), values.get("log", False)
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, step=step or 1, log=log)
    return float(f"{trial.suggest_float(key, low, high, step=step, log=log):.{DIGITS}g}")


def check_space(words: Sequence[str], space: Mapping[str, Any]) -> None:
    """Check the configuration at every corner of the space (every choice of a list). Raises ConfigError."""
    ends = [
        values if isinstance(values, list) else [values["low"], values["high"]] for values in space.values()
    ]
    usual = [f"{key}={values[0]}" for key, values in zip(space, ends, strict=True)]
    corners = list(itertools.product(*ends)) if len(space) <= 3 else []
    for corner in corners:
        words_there = [f"{key}={value}" for key, value in zip(space, corner, strict=True)]
        check_network(configure([*words, *words_there]))
    if not corners:  # many settings: each to its ends, the others at their first
        for n, (key, values) in enumerate(zip(space, ends, strict=True)):
            for value in values:
                check_network(configure([*words, *usual[:n], f"{key}={value}", *usual[n + 1 :]]))
