"""From command-line overrides to a checked, typed run.

Hydra composes the YAML groups; this module decides whether the result means anything, keys added with `+` or
`++` included, before anything is loaded or written. What is wrong raises `ConfigError`, one line that
names the key and how to mend it.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, MinLen
from flax import nnx
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.build import ConfigError, build, checked_arguments, first_line, unknown_key
from experiments.config.kept import kept
from experiments.training import precision

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NUMERIC_NODES = ("task", "model", "embedding", "parameterization", "optimizer", "trainer")
NODES = (*NUMERIC_NODES, "execution", "tracking")
CELL_GROUPS = (
    "experiment",
    "parameterization",
    "embedding",
    "model",
    "profile",
)  # a result's cell names them
WITHOUT_EFFECT = ("tracking", "execution", "launcher", "runs", "seed", "seeds")  # on what a cell is


@dataclass(frozen=True)
class Root:
    """The keys at the top of a config, beside the nodes with a `_target_`."""

    seed: Annotated[int, Ge(0)] = 0  # first seed; network, factors and sampling derive from it
    seeds: Annotated[int, Ge(1)] = 1  # number of consecutive seeds trained together
    runs: Annotated[str, MinLen(1)] = "runs"  # folder that receives <experiment>/<id>/
    reduced: str | None = None  # what is smaller than in the paper, in words; null: nothing is
    profile: dict = field(default_factory=dict)
    protocol: dict = field(default_factory=dict)  # values that the chosen embedding, model or RWF reads
    about: dict = field(
        default_factory=dict
    )  # title; protocol, the version of it (experiments.config.protocols)


@dataclass(frozen=True)
class Configuration:
    """A run as configured: names of the choices, the resolved values, and the objects built from them.

    `model` and `embedding` are callables that the task completes with its sizes; the model's layers have the type
    that `trainer.precision` means.
    """

    experiment: str
    parameterization_name: str
    embedding_name: str
    model_name: str
    variant: tuple[str, ...]
    profile: str
    root: Root
    choices: Mapping[str, Any]  # everything that determines the numbers, resolved, seeds included
    resolved: Mapping[str, Any]  # the whole config, for the record
    task: Any
    model: Callable
    embedding: Callable
    parameterization: Any
    optimizer: Any
    trainer: Any
    execution: Any
    tracking: Any


def configure(overrides: Sequence[str]) -> Configuration:
    """Compose and check the run that `overrides` (Hydra's syntax) describe. Raises ConfigError."""
    config, groups = compose_config(overrides)
    root = Root(
        **checked_arguments(Root, {k: v for k, v in config.items() if k not in NODES}, "", supplied=())
    )
    for name in NODES:
        if name not in config:
            raise ConfigError(f"`{name}` is missing from experiment={groups['experiment']}")
    built = {name: build(config[name], name) for name in NODES}
    built["model"] = precision.of_model(built["model"], built["trainer"].precision)
    given = {name: config[name] for name in NUMERIC_NODES}
    standard = _standard(overrides)
    choices = settled(given, standard) | {"seed": root.seed, "seeds": root.seeds}
    return Configuration(
        experiment=groups["experiment"],
        parameterization_name=groups["parameterization"],
        embedding_name=groups["embedding"],
        model_name=groups["model"],
        variant=variant(overrides, choices, standard),
        profile=groups["profile"],
        root=root,
        choices=choices,
        resolved=config,
        **built,
    )


def check_network(config: Configuration) -> None:
    """Build the network's shapes, without its arrays. Raises ConfigError where its settings do not fit."""
    try:
        nnx.eval_shape(lambda: config.task.network(config.model, config.embedding, nnx.Rngs(0)))
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"`model`: {first_line(error)}") from error


def compose_config(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The resolved config as plain containers, and the option chosen in each config group."""
    resolved, groups = kept(CONFIGS, overrides, _compose)
    if groups["profile"] != "paper" and not _reduction_exists(groups):
        raise ConfigError(
            f"experiment={groups['experiment']} has no profile={groups['profile']}: "
            f"write configs/reduction/{groups['experiment']}-{groups['profile']}.yaml"
        )
    return resolved, groups


def _compose(overrides: Sequence[str]) -> list[dict]:
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base=None, job_name="train"):
            config = compose("config", list(overrides), return_hydra_config=True)
        groups = dict(config.hydra.runtime.choices)
        OmegaConf.set_struct(config, False)
        config.pop("hydra")
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # the last from an empty key
        raise ConfigError(_explain(error, overrides)) from error
    return [resolved, groups]


def _reduction_exists(groups: Mapping[str, str]) -> bool:
    return (CONFIGS / "reduction" / f"{groups['experiment']}-{groups['profile']}.yaml").exists()


def variant(
    overrides: Sequence[str], choices: Mapping[str, Any], standard: Mapping[str, Any]
) -> tuple[str, ...]:
    """What in `choices` differs from `standard`, the same named groups without further overrides, as `key=value`."""
    effective, named = _effective(overrides)
    of_cell = [word for word in named if _key(word) in CELL_GROUPS]
    beside = [word for word in named if _key(word) not in CELL_GROUPS]
    if len(named) == len(effective) and not beside:
        return ()
    words = []
    if beside:  # a strategy, say: its name stands for all that it sets
        usual, chosen = (compose_config(chosen)[1] for chosen in (of_cell, named))
        words = [f"{key}={chosen[key]}" for key in map(_key, beside) if chosen[key] != usual.get(key)]
    ours, theirs = (flatten({n: c[n] for n in NUMERIC_NODES}) for c in (choices, standard or choices))
    changed = [f"{key}={value}" for key, value in ours.items() if theirs.get(key) != value]
    return tuple(sorted([*words, *changed]))


def _effective(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides that have an effect on the numbers, and those of them that choose from a group."""
    effective = [word for word in overrides if _key(word).split(".")[0] not in WITHOUT_EFFECT]
    return effective, [word for word in effective if _is_group(word)]


def _standard(overrides: Sequence[str]) -> Mapping[str, Any]:
    """The config of the same named groups without further overrides; empty where there are none."""
    effective, named = _effective(overrides)
    return _named_groups(tuple(named)) if len(named) < len(effective) else {}


@functools.lru_cache(maxsize=16)
def _named_groups(words: tuple[str, ...]) -> Mapping[str, Any]:
    """What the groups set by themselves; kept, because all runs of a sweep ask for the same."""
    return compose_config(words)[0]


def settled(given: Any, standard: Any) -> Any:
    """`given` with each number written in one way, so that `mean=1` and `mean=1.0` are one run.

    A number equal to the one in `standard` is written as there, any other whole number as an integer.

    >>> settled({"mean": 1, "std": 2.0, "width": 8}, {"mean": 1.0, "std": 0.1})
    {'mean': 1.0, 'std': 2, 'width': 8}
    """
    if isinstance(given, Mapping):
        known = standard if isinstance(standard, Mapping) else {}
        return {key: settled(value, known.get(key, value)) for key, value in given.items()}
    if isinstance(given, list):
        return standard if standard == given else [settled(value, None) for value in given]
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return given
    if given == standard and not isinstance(standard, bool):
        return standard
    return int(given) if float(given).is_integer() and abs(given) < 1e15 else given


def _is_group(override: str) -> bool:
    return (CONFIGS / _key(override)).is_dir()


def _key(override: str) -> str:
    return override.split("=")[0].lstrip("+~")


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


def _explain(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's or OmegaConf's message as one line with the choices and the nearest one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0]
    if "Could not find '" in text and "/" in text:
        group, option = text.split("Could not find '")[1].rstrip("'").split("/", 1)
        options = group_options(group)
        close = difflib.get_close_matches(option, options, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{group}={option} is unknown: {hint}choices: {', '.join(options)}"
    if text.startswith("You must specify 'experiment'"):
        return f"experiment=NAME is missing: choices: {', '.join(group_options('experiment'))}"
    if "Could not override '" in text:
        key = text.split("'")[1]
        if (CONFIGS / key).is_dir():
            return f"{key}=... does not apply to this experiment: leave it out (in: {' '.join(overrides)})"
        keys = [*flatten(_known_keys(overrides)), *(p.name for p in CONFIGS.iterdir() if p.is_dir())]
        return unknown_key(key, key, _near(key, keys))
    return f"{text} (in: {' '.join(overrides)})"


def _known_keys(overrides: Sequence[str]) -> Mapping:
    try:
        return compose_config([word for word in overrides if _is_group(word)])[0]
    except ConfigError:
        return {}


def _near(key: str, keys: Sequence[str]) -> list[str]:
    """The keys of the same node, or all top-level ones: a list short enough to read."""
    node = key.rsplit(".", 1)[0] + "." if "." in key else ""
    same = [k for k in keys if k.startswith(node)] if node else sorted({k.split(".")[0] for k in keys})
    return same or sorted({k.split(".")[0] for k in keys})


def group_options(group: str) -> list[str]:
    """The names a config group offers."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
