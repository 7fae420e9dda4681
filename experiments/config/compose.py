"""From command-line overrides to a checked, typed run.

Hydra composes the YAML groups; this module decides whether the result means anything, keys added with `+` or
`++` included, before anything is loaded or written. What is wrong raises `ConfigError`, one line that
names the key and how to mend it.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen
from flax import nnx
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config import arithmetic, identity
from experiments.config.build import ConfigError, build, checked_arguments, first_line, unknown_key
from experiments.config.identity import flatten
from experiments.config.kept import kept
from experiments.files import typed_path

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OWN_CONFIGS = "RWF_CONFIGS"
"""Environment variable with folders of a user's own configs, laid out like configs/, which they add to."""
NODES = (*identity.NODES, "execution", "tracking", "launcher")
CELL_GROUPS = (
    "experiment",
    "parameterization",
    "embedding",
    "model",
    "profile",
)  # a result's cell names them
WITHOUT_EFFECT = ("tracking", "execution", "launcher", "seed", "seeds")  # on what a cell is
FOLDER = "runs="  # the word that is a path, which Hydra's grammar never sees
DESCRIPTIONS = ("reduced", "about")  # what a config says of itself; no settings
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Root:
    """The keys at the top of a config, beside the nodes with a `_target_`."""

    seed: Annotated[int, Ge(0), Le(MAX_SEED)] = 0  # first seed; network, factors and sampling derive from it
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
    choices: Mapping[str, Any]  # canonical form of all that determines the numbers, seeds included
    resolved: Mapping[str, Any]  # the whole config, for the record
    task: Any
    model: Callable
    embedding: Callable
    parameterization: Any
    optimizer: Any
    trainer: Any
    execution: Any
    tracking: Any
    launcher: Any


def configure(overrides: Sequence[str]) -> Configuration:
    """Compose and check the run that `overrides` (Hydra's syntax) describe. Raises ConfigError."""
    arithmetic.check()
    config, groups = compose_config(overrides)
    root = Root(
        **checked_arguments(Root, {k: v for k, v in config.items() if k not in NODES}, "", supplied=())
    )
    if root.seed + root.seeds - 1 > MAX_SEED:
        raise ConfigError(f"`seeds`={root.seeds}: the last seed would be above {MAX_SEED}")
    for name in NODES:
        if name not in config:
            raise ConfigError(f"`{name}` is missing from experiment={groups['experiment']}")
    built = {name: build(config[name], name) for name in NODES}
    choices = {name: identity.canonical(built[name]) for name in identity.NODES}
    built["model"] = built["trainer"].with_layers(built["model"])
    return Configuration(
        experiment=groups["experiment"],
        parameterization_name=groups["parameterization"],
        embedding_name=groups["embedding"],
        model_name=groups["model"],
        variant=_variant(overrides, groups, choices),
        profile=groups["profile"],
        root=root,
        choices=choices | {"seed": root.seed, "seeds": root.seeds},
        resolved=config,
        **built,
    )


def _variant(
    overrides: Sequence[str], groups: Mapping[str, str], choices: Mapping[str, Any]
) -> tuple[str, ...]:
    """What of `choices` differs from the cell that `groups` name, as words for the command line.

    A further group, a strategy say, stands by its name for all that it sets.
    """
    effective = [word for word in overrides if _key(word).split(".")[0] not in (*WITHOUT_EFFECT, "runs")]
    cell = tuple(f"{name}={groups[name]}" for name in CELL_GROUPS)
    if all(_key(word) in CELL_GROUPS for word in effective):
        return ()
    usual, _ = _standard(cell)
    beside = [
        f"{name}={groups[name]}"
        for name in map(_key, effective)
        if name in groups and name not in CELL_GROUPS
    ]
    beside = [
        word for word in dict.fromkeys(beside) if usual.get(word.partition("=")[0]) != word.partition("=")[2]
    ]
    standard = _standard((*cell, *beside))[1] if beside else _standard(cell)[1]
    return tuple(sorted([*beside, *identity.differences(choices, standard)]))


@functools.lru_cache(maxsize=64)
def _standard(words: tuple[str, ...]) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """The groups, and the canonical form, of named groups without settings; kept, as a whole sweep asks for them."""
    config, groups = compose_config(words)
    return groups, {name: identity.canonical(build(config[name], name)) for name in identity.NODES}


def check_network(config: Configuration) -> None:
    """Build the network's shapes, without its arrays. Raises ConfigError where its settings do not fit."""
    try:
        nnx.eval_shape(lambda: config.task.network(config.model, config.embedding, nnx.Rngs(0)))
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"`model`: {first_line(error)}") from error


def compose_config(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The resolved config as plain containers, and the option chosen in each config group. Raises ConfigError."""
    for word in overrides:
        if _key(word).split(".")[0] in DESCRIPTIONS:
            raise ConfigError(
                f"`{_key(word)}` describes an experiment or a profile and is no setting: leave it out"
            )
    folders = [word.partition("=")[2] for word in overrides if names_folder(word)]
    words = [word for word in overrides if not names_folder(word)]
    resolved, groups = kept(config_folders(), words, _compose)
    if folders:
        resolved["runs"] = _folder(folders[-1])
    if groups["profile"] != "paper" and groups["profile"] not in _profiles(groups["experiment"]):
        raise ConfigError(
            f"experiment={groups['experiment']} has no profile={groups['profile']}: "
            f"write configs/reduction/{groups['experiment']}-{groups['profile']}.yaml"
        )
    return resolved, groups


def names_folder(word: str) -> bool:
    """Whether `word` sets the folder of runs, with or without Hydra's + or ++."""
    return word.lstrip("+").startswith(FOLDER)


def _folder(path: str) -> str:
    """A path as the shell hands it over, without the quotes that Hydra's own grammar may have asked for."""
    quoted = len(path) > 1 and path[0] == path[-1] and path[0] in "'\""
    if quoted:
        return path[1:-1]
    return str(typed_path(path)) if path.startswith("~") else path  # a Path drops `./` and the last slash


def config_folders() -> list[Path]:
    """configs/ and a user's own folders beside it (`RWF_CONFIGS`). Raises ConfigError where one is no folder."""
    own = [typed_path(name) for name in os.environ.get(OWN_CONFIGS, "").split(os.pathsep) if name]
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir or {OWN_CONFIGS}: {folder} is no folder")
    return [CONFIGS, *(folder.resolve() for folder in own)]


def _compose(overrides: Sequence[str]) -> list[dict]:
    GlobalHydra.instance().clear()
    own = ",".join(identity.word(f"file://{folder}") for folder in config_folders()[1:])
    words = [*overrides, f"hydra.searchpath=[{own}]"] if own else list(overrides)
    try:
        with initialize_config_dir(str(CONFIGS), version_base=None, job_name="train"):
            config = compose("config", words, return_hydra_config=True)
        groups = dict(config.hydra.runtime.choices)
        OmegaConf.set_struct(config, False)
        config.pop("hydra")
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (
        HydraException,
        OmegaConfBaseException,
        ValueError,
        AssertionError,
    ) as error:  # the last two from bad keys
        raise ConfigError(_explain(error, overrides)) from error
    return [resolved, groups]


def _profiles(experiment: str) -> list[str]:
    names = group_options("reduction")
    return [name.removeprefix(f"{experiment}-") for name in names if name.startswith(f"{experiment}-")]


def _is_group(override: str) -> bool:
    return any((folder / _key(override)).is_dir() for folder in config_folders())


def _key(override: str) -> str:
    return override.split("=")[0].lstrip("+~")


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
        if _is_group(key):
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
    return sorted({path.stem for folder in config_folders() for path in (folder / group).glob("*.yaml")})
