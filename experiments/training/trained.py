"""A trained network, read back from the folder of its run.

>>> network, task = load("runs/nerf_lego/<id>")  # doctest: +SKIP
"""

from __future__ import annotations

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


def load(folder: str | Path, item: int = 0, seed: int = 0) -> tuple[Network, Any]:
    """The network that the run in `folder` trained for its `item` and for its first seed plus `seed`, and its task.

    The network is a function of arrays or jets, its effective weights bound. Raises ConfigError, naming
    the folder, where there is no finished run with that item and seed.
    """
    folder = Path(folder)
    path = folder / (f"weights-{seed}.npz" if seed else "weights.npz")
    if not (path.exists() and (folder / "config.yaml").exists()):
        raise ConfigError(f"{folder} holds no trained network: {path.name} is missing; name a finished run")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    names = ("task", "model", "embedding", "parameterization")
    task, model, embedding, parameterization = (build(config[name], name) for name in names)
    model = precision.of_model(model, config["trainer"]["precision"])
    initialise, apply = rwf.functional(lambda rngs: task.network(model, embedding, rngs))

    def state(key: jax.Array) -> dict[str, Any]:
        params, constants = initialise(key)
        return {"factors": rwf.factorize(params, parameterization, key), "constants": constants}

    arrays, _ = load_arrays(path)
    count = len(next(iter(arrays.values())))
    if not 0 <= item < count:
        raise ConfigError(f"{folder} has no item {item}: it has {count}, counted from 0")
    try:
        template = jax.eval_shape(state, jax.random.key(0))
        stored = from_host({name: array[item] for name, array in arrays.items()}, template)
    except ValueError as error:
        raise ConfigError(f"{path} does not fit {folder / 'config.yaml'}: {error}") from error
    params = rwf.compose(stored["factors"])
    return lambda *inputs: apply(params, stored["constants"], *inputs), task
