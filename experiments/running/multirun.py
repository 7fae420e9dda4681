"""What a --multirun command line expands to; every job is checked before the first starts, finished ones are left out.

Launchers are Hydra's plugins, configured in configs/launcher/; each is an extra of its own.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.compose import CONFIGS, ConfigError, check_network, configure
from experiments.running.pool import cores
from experiments.running.run import data_source, folder_of

MULTIRUN = {"--multirun", "-m"}
SHOW = {"--cfg", "-c", "--info", "-i"}
LAUNCHERS = {"basic": None, "joblib": "joblib", "ray": "ray"} | {
    name: "submitit" for name in ("submitit_local", "submitit_slurm")
}
"""Names of launchers, with the extra (and the plugin hydra_plugins.hydra_<extra>_launcher) that each needs."""

OmegaConf.register_new_resolver("cores", lambda: len(cores()), replace=True)
VALUE_FLAGS = {
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--info",
    "-i",
    "--config-name",
    "-cn",
    "--config-path",
    "-cp",
}


def expand(arguments: Sequence[str]) -> list[list[str]]:
    """The override lists of all jobs of a command line; with a sweeper other than Hydra's basic one, none.

    Raises ConfigError on what Hydra's grammar cannot read.
    """
    overrides = override_words(arguments)
    if any(word.startswith("hydra/sweeper=") for word in overrides):
        return []
    overrides = [word for word in overrides if not _is_hydras(word)]
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
        if MULTIRUN & set(arguments):
            return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except HydraException as error:
        raise ConfigError(f"{str(error).splitlines()[0]} (in: {' '.join(overrides)})") from error
    swept = [word.input_line for word in parsed if word.is_sweep_override()]
    if swept:
        raise ConfigError(f"`{swept[0]}` names several values: add --multirun to run them all")
    return [overrides]


def _is_hydras(word: str) -> bool:
    return word.lstrip("+~").startswith(("hydra.", "hydra/", "launcher="))


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line runs several jobs, rather than one or showing a config."""
    return bool(MULTIRUN & set(arguments)) and not SHOW & set(arguments)


@functools.cache
def folder_of_job(job: tuple[str, ...]) -> Path:
    """The run folder of a job, its configuration, network and data checked. Raises ConfigError."""
    config = configure(job)
    check_network(config)
    return folder_of(config, data_source(config))


def is_finished(job: Sequence[str]) -> bool:
    """Whether the job has a result."""
    return (folder_of_job(tuple(job)) / "result.json").exists()


def missing(jobs: Sequence[list[str]]) -> list[list[str]]:
    """The jobs without a result, each run once; says how many there are."""
    unique = {folder_of_job(tuple(job)): job for job in reversed(jobs)}
    todo = [job for job in reversed(unique.values()) if not is_finished(job)]
    print(f"{len(unique)} runs: {len(unique) - len(todo)} finished before, {len(todo)} to train", flush=True)
    return todo


def check_launcher(arguments: Sequence[str]) -> None:
    """Raise ConfigError where a launcher is unknown, not installed, or given a setting it does not have."""
    words = [word for word in override_words(arguments) if _is_hydras(word)]
    for word in words:
        name = word.partition("launcher=")[2]
        extra = LAUNCHERS.get(name)
        if name and name not in LAUNCHERS:
            raise ConfigError(f"launcher={name} is unknown: choices: {', '.join(LAUNCHERS)}")
        if extra and importlib.util.find_spec(f"hydra_plugins.hydra_{extra}_launcher") is None:
            raise ConfigError(
                f"launcher={name} is not installed: python -m pip install --editable '.[experiments,{extra}]'"
            )
    if not words or any(word.startswith("hydra/sweeper=") for word in words):
        return
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base=None, job_name="train"):
            compose("config", ["experiment=regression_1d", *words], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{str(error).splitlines()[0]} (in: {' '.join(words)})") from error


def override_words(arguments: Sequence[str]) -> list[str]:
    """The words of a command line that are overrides, not flags or their values."""
    words, skip = [], False
    for word in arguments:
        if skip:
            skip = False
        elif word in VALUE_FLAGS:
            skip = True
        elif not word.startswith("-"):
            words.append(word)
    return words
