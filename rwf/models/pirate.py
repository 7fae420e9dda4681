"""PirateNet: gated residual blocks that start as the identity."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx

from rwf.jets import Jet
from rwf.layers import (
    Dense,
    Embedding,
    activation_function,
    build_embedding,
    check_positive,
    dense_layers,
    layer_dtypes,
)
from rwf.typing import Activation, Array, Coordinates, Dtype


class PirateNet(nnx.Module):
    """`depth` adaptive residual blocks of three layers, `width` neurons wide, then a linear output layer.

    Wang, Li, Chen and Perdikaris (2024, arXiv:2402.00326). With encoders U and V of the embedded input as in
    `ModifiedMLP`, a block computes f = act(W1 x + b1), g = act(W2 (f U + (1 - f) V) + b2),
    h = act(W3 (g U + (1 - g) V) + b3) and passes on alpha h + (1 - alpha) x, alpha trained from 0. So the
    network starts as a linear map of its embedding. W3 leads back to as many neurons as the embedding has
    features. The least-squares initialisation of the output layer that they offer is left out. `dtype` is that
    of `MLP`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        depth: int,
        width: int,
        activation: Activation = "tanh",
        embedding: Embedding | None = None,
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(in_features=in_features, out_features=out_features, depth=depth, width=width)
        self.embedding, features = build_embedding(embedding, in_features, rngs)
        activation_function(activation)  # an unknown name is an error here, not at the first call
        self.activation = activation
        first = layer_dtypes(dtype, 2, self.embedding)[0]
        self.encoder_u = Dense(features, width, **first, rngs=rngs)
        self.encoder_v = Dense(features, width, **first, rngs=rngs)
        sizes = [*[features, width, width] * depth, features, out_features]
        self.layers = dense_layers(sizes, dtype=dtype, embedding=self.embedding, rngs=rngs)
        self.alphas = nnx.List(nnx.Param(jnp.zeros(())) for _ in range(depth))

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        activate = activation_function(self.activation)
        h = x if self.embedding is None else self.embedding(x)
        v = activate(self.encoder_v(h))
        u_minus_v = activate(self.encoder_u(h)) - v
        for block, alpha in enumerate(self.alphas):
            first, second, third = self.layers[3 * block : 3 * block + 3]
            f = v + activate(first(h)) * u_minus_v
            g = v + activate(second(f)) * u_minus_v
            h = h + alpha[...] * (activate(third(g)) - h)
        return self.layers[-1](h)
