"""Test metrics, and the evaluation of a network on more points than fit in memory at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from experiments.task import Network

BLOCK = 65_536  # points of one evaluation; 65,536 are the paper's training image


def in_blocks(network: Network, points: jax.Array, block: int = BLOCK) -> jax.Array:
    """`network(points)` for points (n, d), computed `block` points at a time."""
    count = len(points)
    if count <= block:
        return network(points)
    padded = jnp.pad(points, ((0, -count % block), (0, 0)))
    values = jax.lax.map(network, padded.reshape(-1, block, points.shape[1]))
    return values.reshape(len(padded), *values.shape[2:])[:count]


def psnr(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio in dB, the peak being 1: -10 log10 of the mean squared error."""
    return -10 * jnp.log10(jnp.mean((prediction - truth) ** 2))


def relative_l2(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """||prediction - truth|| / ||truth||, Frobenius norms over all axes."""
    return jnp.sqrt(jnp.sum((prediction - truth) ** 2) / jnp.sum(truth**2))
