"""The multilayer perceptron."""

from __future__ import annotations

from flax import nnx

from rwf.jets import Jet
from rwf.layers import Embedding, activation_function, build_embedding, check_positive, dense_layers
from rwf.typing import Activation, Array, Coordinates, Dtype


class MLP(nnx.Module):
    """`depth` hidden layers of `width` neurons, then a linear output layer (equations 2.1-2.2 of the paper).

    Takes an array (..., in_features) or a `rwf.Jet` and returns (..., out_features). `activation` is a name
    (see `rwf.layers.activation_function`) or a function; `embedding`, called as
    `embedding(in_features, rngs=rngs)`, makes the map in front of the first layer. `dtype=jax.numpy.bfloat16`
    is mixed precision (`rwf.layers.layer_dtypes`): parameters and the result stay float32, and so does whatever
    is computed of a jet.

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
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(in_features=in_features, out_features=out_features, depth=depth, width=width)
        self.embedding, features = build_embedding(embedding, in_features, rngs)
        activation_function(activation)  # an unknown name is an error here, not at the first call
        self.activation = activation
        sizes = [features, *[width] * depth, out_features]
        self.layers = dense_layers(sizes, dtype=dtype, embedding=self.embedding, rngs=rngs)

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        activate = activation_function(self.activation)
        h = x if self.embedding is None else self.embedding(x)
        for layer in self.layers[:-1]:
            h = activate(layer(h))
        return self.layers[-1](h)
