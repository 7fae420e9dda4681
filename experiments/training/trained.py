"""A trained network, read back from the folder of its run.

>>> network, task = load("runs/nerf_lego/<id>")  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import yaml

import rwf
from experiments.config.build import ConfigError, build
from experiments.files import load_arrays
from experiments.task import Network
from experiments.training import precision
from experiments.training.checkpoints import from_host

BUILT = ("task", "model", "embedding", "parameterization")  # what the network is built from
AGAIN = "delete result.json beside it and train the run again"


@dataclass(frozen=True)
class TrainedRun:
    """What a finished run trained for one item and seed.

    `apply(params, constants, *inputs)` is the network; `params` are its weights, folded into plain ones, `constants`
    what is not trained (a Fourier matrix). `in_features` is the number of coordinates, None where the network
    takes several arrays. `units` are those that the task kept, and leads back to the user's own.
    """

    folder: Path
    task: Any
    apply: Callable
    params: Any
    constants: Any
    in_features: int | None
    units: dict[str, Any]
    item: int = 0
    seed: int = 0

    def network(self, *inputs: Any) -> Any:
        """The network's output for arrays or jets: any number of points (n, in_features)."""
        return self.apply(self.params, self.constants, *inputs)

    def predictions(self) -> dict[str, Any]:
        """What the run kept of its predictions for this item and seed."""
        name = f"predictions-{self.seed}.npz" if self.seed else "predictions.npz"
        return {key: array[self.item] for key, array in _arrays(self.folder / name).items()}


def load(folder: str | Path, item: int = 0, seed: int = 0) -> tuple[Network, Any]:
    """The network that the run in `folder` trained for its `item` and for its first seed plus `seed`, and its task.

    The network is a function of arrays or jets, its effective weights bound: `network(points)` takes any number of
    points (n, d). Raises ConfigError, naming the folder, where there is no finished run with that item and seed.
    """
    found = read(folder, item, seed)
    return found.network, found.task


def read(folder: str | Path, item: int = 0, seed: int = 0) -> TrainedRun:
    """`load`, with all that belongs to the network. Raises ConfigError as it does."""
    folder = Path(folder)
    path = folder / (f"weights-{seed}.npz" if seed else "weights.npz")
    if not (path.exists() and (folder / "config.yaml").exists()):
        raise ConfigError(f"{folder} holds no trained network: {path.name} is missing; name a finished run")
    config = _config(folder / "config.yaml")
    task, model, embedding, parameterization = (build(config[name], name) for name in BUILT)
    model = precision.of_model(model, config["trainer"]["precision"])
    sizes: dict[str, Any] = {}

    def noted(*arguments: Any, **settings: Any) -> Any:
        sizes.update(settings)
        return model(*arguments, **settings)

    initialise, apply = rwf.functional(lambda rngs: task.network(noted, embedding, rngs))

    def state(key: jax.Array) -> dict[str, Any]:
        params, constants = initialise(key)
        return {"factors": rwf.factorize(params, parameterization, key), "constants": constants}

    arrays = _arrays(path)
    count = len(next(iter(arrays.values())))
    if not 0 <= item < count:
        raise ConfigError(f"{folder} has no item {item}: it has {count}, counted from 0")
    try:
        template = jax.eval_shape(state, jax.random.key(0))
        stored = from_host({name: array[item] for name, array in arrays.items()}, template)
    except ValueError as error:
        raise ConfigError(f"{path} does not fit {folder / 'config.yaml'}: {error}") from error
    return TrainedRun(
        folder=folder,
        task=task,
        apply=apply,
        params=rwf.compose(stored["factors"]),
        constants=stored["constants"],
        in_features=sizes.get("in_features"),
        units=_units(folder / "units.json"),
        item=item,
        seed=seed,
    )


def _arrays(path: Path) -> dict[str, Any]:
    try:
        return load_arrays(path)[0]
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {AGAIN}") from error


def _config(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is damaged: {AGAIN}") from error
    if not isinstance(found, dict) or not {*BUILT, "trainer"} <= found.keys():
        raise ConfigError(f"{path} is damaged: {AGAIN}")
    return found


def _units(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {AGAIN}") from error
