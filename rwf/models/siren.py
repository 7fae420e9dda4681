"""Sinusoidal representation networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rwf import jets
from rwf.jets import Jet
from rwf.layers import Dense, Embedding, build_embedding, check_positive, layer_dtypes
from rwf.typing import Array, Coordinates, Dtype, KeyArray


class SIREN(nnx.Module):
    """`depth` hidden layers sin(omega_0 (x W + b)) of `width` neurons, then a linear output layer.

    After Sitzmann et al. (2020) and their code: W is uniform within 1 / fan_in in the first layer and
    within sqrt(6 / fan_in) / omega_0 in the others, the output layer included, so that omega_0 W does not
    depend on omega_0 past the first layer; biases are uniform within 1 / sqrt(fan_in). W itself is
    trained. They take inputs in [-1, 1]: pass `embedding=rwf.embeddings.Symmetric` for the unit cube.

    `dtype` is that of `MLP`; phases and their sines stay float32 in it, rounded where the next layer
    multiplies them. The first layer's phases come of a trained product, so `jax.default_matmul_precision`
    acts on them as on any other layer, unlike on those of Fourier features.

    Raises ValueError for sizes that are not positive integers or an omega_0 that is not positive.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        depth: int,
        width: int,
        omega_0: float = 30.0,
        embedding: Embedding | None = None,
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(in_features=in_features, out_features=out_features, depth=depth, width=width)
        if not (math.isfinite(omega_0) and omega_0 > 0):
            raise ValueError(f"omega_0 must be positive, not {omega_0}")
        self.omega_0 = omega_0
        self.embedding, features = build_embedding(embedding, in_features, rngs)
        sizes = [features, *[width] * depth, out_features]
        wide = None if dtype is None else jnp.promote_types(dtype, jnp.float32)
        phases: dict[str, Any] = {} if wide is None else {"preferred_element_type": wide}
        types = layer_dtypes(dtype, depth + 1, self.embedding)
        self.layers = nnx.List(
            Dense(
                fan_in,
                fan_out,
                kernel_init=_uniform(1 / fan_in if index == 0 else math.sqrt(6 / fan_in) / omega_0),
                bias_init=_uniform(1 / math.sqrt(fan_in)),
                **{**own, **phases},
                rngs=rngs,
            )
            for index, ((fan_in, fan_out), own) in enumerate(zip(pairwise(sizes), types, strict=True))
        )

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        h = x if self.embedding is None else self.embedding(x)
        for layer in self.layers[:-1]:
            h = jets.apply(jnp.sin, self.omega_0 * layer(h))
        return self.layers[-1](h)


def _uniform(bound: float) -> Callable[[KeyArray, tuple[int, ...]], Array]:
    return lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
