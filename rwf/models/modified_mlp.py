"""The modified multilayer perceptron: hidden layers gated by two encoders of the input."""

from __future__ import annotations

from itertools import pairwise

from flax import nnx

from rwf.jets import Jet
from rwf.layers import Dense, Embedding, activation_function, build_embedding, check_positive
from rwf.typing import Activation, Array, Coordinates


class ModifiedMLP(nnx.Module):
    """`depth` gated hidden layers of `width` neurons, then a linear output layer.

    With encoders U = act(x W_u + b_u) and V = act(x W_v + b_v), every hidden layer computes
    Z = act(H W + b) and passes on Z U + (1 - Z) V. This is the network of Wang, Teng and Perdikaris (2021)
    as their code has it. The paper's equations K.23-K.27 leave the first hidden layer without a gate and
    swap U and V, which changes nothing.
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
        rngs: nnx.Rngs,
    ):
        check_positive(in_features=in_features, out_features=out_features, depth=depth, width=width)
        self.embedding, features = build_embedding(embedding, in_features, rngs)
        activation_function(activation)  # an unknown name is an error here, not at the first call
        self.activation = activation
        self.encoder_u = Dense(features, width, rngs=rngs)
        self.encoder_v = Dense(features, width, rngs=rngs)
        sizes = [features, *[width] * depth, out_features]
        self.layers = nnx.List(Dense(fan_in, fan_out, rngs=rngs) for fan_in, fan_out in pairwise(sizes))

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        activate = activation_function(self.activation)
        h = x if self.embedding is None else self.embedding(x)
        v = activate(self.encoder_v(h))
        u_minus_v = activate(self.encoder_u(h)) - v  # Z U + (1 - Z) V with one product instead of two
        for layer in self.layers[:-1]:
            h = v + activate(layer(h)) * u_minus_v
        return self.layers[-1](h)
