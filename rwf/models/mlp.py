"""The multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise

from flax import nnx

from rwf.jets import Jet
from rwf.layers import Dense, Embedding, activation_function, build_embedding, check_positive
from rwf.typing import Activation, Array, Coordinates


class MLP(nnx.Module):
    """`depth` hidden layers of `width` neurons, then a linear output layer (equations 2.1-2.2 of the paper).

    Takes an array (..., in_features) or a `rwf.Jet` and returns (..., out_features). `activation` is a name
    (see `rwf.layers.activation_function`) or a function; `embedding`, called as
    `embedding(in_features, rngs=rngs)`, makes the map in front of the first layer.

    >>> network = MLP(2, 3, depth=4, width=16, rngs=nnx.Rngs(0))
    >>> len(network.layers)
    5
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        depth: int,
        width: int,
        activation: Activation = "relu",
        embedding: Embedding | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(in_features=in_features, out_features=out_features, depth=depth, width=width)
        self.embedding, features = build_embedding(embedding, in_features, rngs)
        activation_function(activation)  # an unknown name is an error here, not at the first call
        self.activation = activation
        sizes = [features, *[width] * depth, out_features]
        self.layers = nnx.List(Dense(fan_in, fan_out, rngs=rngs) for fan_in, fan_out in pairwise(sizes))

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        activate = activation_function(self.activation)
        h = x if self.embedding is None else self.embedding(x)
        for layer in self.layers[:-1]:
            h = activate(layer(h))
        return self.layers[-1](h)
