"""The modified multilayer perceptron: hidden layers gated by two encoders of the input."""

from __future__ import annotations

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


class ModifiedMLP(nnx.Module):
    """`depth` gated hidden layers of `width` neurons, then a linear output layer.

    With encoders U = act(x W_u + b_u) and V = act(x W_v + b_v), every hidden layer computes
    Z = act(H W + b) and passes on Z U + (1 - Z) V. This is the network of Wang, Teng and Perdikaris (2021)
    as their code has it. The paper's equations K.23-K.27 leave the first hidden layer without a gate and
    swap U and V, which changes nothing. `dtype` is that of `MLP`; the gates are computed in it.
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
        first = layer_dtypes(dtype, depth + 1, self.embedding)[0]
        self.encoder_u = Dense(features, width, **first, rngs=rngs)
        self.encoder_v = Dense(features, width, **first, rngs=rngs)
        sizes = [features, *[width] * depth, out_features]
        self.layers = dense_layers(sizes, dtype=dtype, embedding=self.embedding, rngs=rngs)

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        activate = activation_function(self.activation)
        h = x if self.embedding is None else self.embedding(x)
        v = activate(self.encoder_v(h))
        u_minus_v = activate(self.encoder_u(h)) - v  # Z U + (1 - Z) V with one product instead of two
        for layer in self.layers[:-1]:
            h = v + activate(layer(h)) * u_minus_v
        return self.layers[-1](h)
