"""The search space of `experiments.tune`: a YAML file that maps settings to what they may be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from annotated_types import Gt, MinLen
from pydantic import Discriminator, Tag, TypeAdapter
from pydantic.dataclasses import dataclass

from experiments.config.compose import CONFIGS, ConfigError, check_network, configure, group_options
from experiments.validation import FILE, validated

DIGITS = 4  # significant ones of a number that is tried, so that runs have readable names


@dataclass(frozen=True, config=FILE)
class Interval:
    """Numbers from `low` to `high`, whole ones where both are; drawn evenly, or evenly in their logarithm."""

    low: int | float
    high: int | float
    log: bool = False
    step: Annotated[int | float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be a number below high={self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above 0, and no step")


Choices = Annotated[list[Any], MinLen(1)]
KINDS = {dict: "interval", Interval: "interval", list: "choices"}
Values = Annotated[
    Annotated[Interval, Tag("interval")] | Annotated[Choices, Tag("choices")],
    Discriminator(
        lambda given: KINDS.get(type(given)),
        custom_error_type="neither",
        custom_error_message="needs {low, high} or a list of choices",
    ),
]
Space = Annotated[dict[str, Values], MinLen(1)]
"""Settings, and for each the values it may take: an interval or a list of choices."""


def as_written(space: Space) -> dict[str, Any]:
    """A space as its YAML file has it, defaults left out."""
    return TypeAdapter(Space).dump_python(space, exclude_defaults=True)


def load_space(name: str) -> Space:
    """The space called `name` in configs/search/, or in the YAML file at the path `name`. Raises ConfigError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / "search" / f"{name}.yaml"
    if not path.exists():
        raise ConfigError(
            f"no search space {name!r}: choices: {', '.join(group_options('search'))}, or a file"
        )
    try:
        return validated(Space, yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def suggested(trial: Any, space: Space) -> list[str]:
    """The settings that an Optuna trial suggests, as command-line words."""
    return [f"{key}={_suggest(trial, key, values)}" for key, values in space.items()]


def _suggest(trial: Any, key: str, values: Interval | Choices) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(key, values)
    low, high, step, log = values.low, values.high, values.step, values.log
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, step=step or 1, log=log)
    return float(f"{trial.suggest_float(key, low, high, step=step, log=log):.{DIGITS}g}")


def check_space(words: Sequence[str], space: Space) -> None:
    """Check the configuration at every corner of the space (every choice of a list). Raises ConfigError."""
    ends = [values if isinstance(values, list) else [values.low, values.high] for values in space.values()]
    usual = [f"{key}={values[0]}" for key, values in zip(space, ends, strict=True)]
    corners = list(itertools.product(*ends)) if len(space) <= 3 else []
    for corner in corners:
        words_there = [f"{key}={value}" for key, value in zip(space, corner, strict=True)]
        check_network(configure([*words, *words_there]))
    if not corners:  # many settings: each to its ends, the others at their first
        for n, (key, values) in enumerate(zip(space, ends, strict=True)):
            for value in values:
                check_network(configure([*words, *usual[:n], f"{key}={value}", *usual[n + 1 :]]))
