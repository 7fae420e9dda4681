"""Gradients accumulated over parts of a batch, for steps whose activations fit no cache or memory at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.config.compose import ConfigError, Configuration
from experiments.task import Data

PyTree = Any


def check(config: Configuration, data: Data) -> None:
    """Raise ConfigError where the batches of `config` cannot be cut into `trainer.microbatches` equal parts."""
    pieces, task = config.trainer.microbatches, config.task
    if pieces == 1:
        return
    if not task.separable:
        raise ConfigError(
            f"trainer.microbatches={pieces}: this experiment's loss is no mean over parts of a batch: leave it at 1"
        )
    item = jax.tree.map(lambda leaf: leaf[0], data.items)
    batch = jax.eval_shape(task.batch, data.shared, item, jax.random.key(0), jnp.int32(0))
    for leaf in jax.tree.leaves(batch):
        if leaf.ndim and leaf.shape[0] % pieces:
            raise ConfigError(f"trainer.microbatches={pieces} does not divide a batch of {leaf.shape[0]}")


def accumulated(gradient: Callable, pieces: int) -> Callable:
    """`gradient` averaged over `pieces` equal parts of the batch, one after the other in memory."""
    if pieces == 1:
        return gradient

    def whole(factors: PyTree, fixed: PyTree, batch: PyTree) -> tuple[PyTree, dict]:
        def piece(leaf: jax.Array) -> jax.Array:
            if leaf.ndim == 0:
                return jnp.broadcast_to(leaf, (pieces,))
            return leaf.reshape(pieces, -1, *leaf.shape[1:])

        parts = jax.tree.map(piece, batch)
        shapes = jax.eval_shape(gradient, factors, fixed, jax.tree.map(lambda leaf: leaf[0], parts))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(total: PyTree, part: PyTree) -> tuple[PyTree, None]:
            return jax.tree.map(jnp.add, total, gradient(factors, fixed, part)), None

        total, _ = jax.lax.scan(add, zeros, parts)
        return jax.tree.map(lambda leaf: leaf / pieces, total)

    return whole
