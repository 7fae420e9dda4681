"""Plane velocities that are free of divergence by construction."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

import rwf
from rwf import jets


class StreamFunction(nnx.Module):
    """(u, v, p) of a model of (psi, p): u is the derivative of psi along y, v minus that along x.

    Continuity then holds everywhere, and psi's constant is free. Takes points (..., 2) or a jet of them,
    whose streams are differentiated with it: a residual in u then holds third derivatives of psi. The
    price is two tangents beside each stream.
    """

    def __init__(self, model: nnx.Module):
        self.model = model

    def __call__(self, points: jax.Array | rwf.Jet) -> jax.Array | rwf.Jet:
        values, slopes = jax.vmap(
            lambda direction: jax.jvp(self.model, (points,), (_moving(points, direction),)),
            out_axes=(None, 0),
        )(jnp.eye(2, dtype=points.dtype))
        along_x, along_y = (jax.tree.map(lambda leaf, i=i: leaf[i], slopes) for i in (0, 1))
        return jets.concatenate([along_y[..., 0:1], -along_x[..., 0:1], values[..., 1:2]])


def _moving(points: jax.Array | rwf.Jet, direction: jax.Array) -> jax.Array | rwf.Jet:
    """The tangent of points that all move along `direction` (2,); the streams of a jet stay as they are."""
    value, *streams = jax.tree.leaves(points)  # a jet's value is its first leaf, an array its only one
    tangents = [jnp.broadcast_to(direction, value.shape), *map(jnp.zeros_like, streams)]
    return jax.tree.unflatten(jax.tree.structure(points), tangents)
