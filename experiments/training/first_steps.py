"""How large the first effective steps of a run are, measured without leaving anything."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config.compose import Configuration
from experiments.task import Data
from experiments.training import members
from experiments.training.step import STEP, programs


def first_steps(config: Configuration, data: Data, count: int) -> dict[str, np.ndarray]:
    """Means (members,) of the effective steps |W_t - W_{t-1}| / |W_{t-1}| over the first `count` steps of a run.

    Under the names of the history, for all kernels together and for each layer's; one value for each seed and item.
    The run is `config`'s in all, its schedule included, but for its end.
    """
    config = replace(config, trainer=replace(config.trainer, relative_steps=True))
    built = programs([config], 1)
    found: dict[str, list[float]] = {}
    for member in members.all_members(config.root.seed, config.root.seeds, len(data.names)):
        seeds, places = (jnp.array([number], jnp.uint32) for number in (member.seed, member.item))
        items = jax.tree.map(lambda leaf, item=member.item: leaf[item : item + 1], data.items)
        states = built.start(seeds, data.shared, items)
        (state,) = built.advance(states, data.shared, items, seeds, places, jnp.int32(0), jnp.int32(count))
        for name, total in state["sums"].items():
            if name.split("/")[0] == STEP:
                found.setdefault(name, []).append(float(total[0]) / count)
    return {name: np.array(values) for name, values in found.items()}
