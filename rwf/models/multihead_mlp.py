"""A multilayer perceptron that parts into a head for every output."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from flax import nnx

from rwf import jets, precision
from rwf.jets import Jet
from rwf.layers import Dense, Embedding, activation_function, build_embedding, check_positive
from rwf.typing import Activation, Array, Coordinates, Dtype


class MultiHeadMLP(nnx.Module):
    """sin(2 pi (x W + b)) of `sines` neurons, `depth` shared hidden layers, and for every output a head.

    A head has `head_depth` hidden layers of its own and a linear output; all hidden layers have `width` neurons.
    The network of Scale-PINN (Chiu et al. 2026) for the lid-driven cavity. The first kernel is normal with variance
    1 / features, Flax's default: Glorot's, with so many more outputs than inputs, would leave the sines too slow.
    Biases being zero at the start, the sines have a phase only where the inputs give one: pass
    `embedding=rwf.embeddings.BothEnds` for the unit cube. `dtype` is that of `MLP`; the sines' phases stay float32.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        sines: int = 128,
        depth: int = 2,
        head_depth: int = 3,
        width: int = 32,
        activation: Activation = "swish",
        embedding: Embedding | None = None,
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(in_features=in_features, out_features=out_features, sines=sines)
        check_positive(depth=depth, head_depth=head_depth, width=width)
        self.embedding, features = build_embedding(embedding, in_features, rngs)
        activation_function(activation)  # an unknown name is an error here, not at the first call
        self.activation = activation

        self.dtype = dtype
        exact = (
            jnp.float32 if dtype is not None and precision.is_narrow(dtype) else dtype
        )  # phases and outputs
        lecun = nnx.initializers.lecun_normal()
        self.first = Dense(features, sines, kernel_init=lecun, dtype=exact, rngs=rngs)

        def layers(sizes: list[int], last: Dtype | None) -> Any:
            types = [*[dtype] * (len(sizes) - 2), last]
            pairs = zip(pairwise(sizes), types, strict=True)
            return nnx.List(Dense(fan_in, fan_out, dtype=own, rngs=rngs) for (fan_in, fan_out), own in pairs)

        self.trunk = layers([sines, *[width] * depth], dtype)
        head = [*[width] * (head_depth + 1), 1]
        self.heads = nnx.List(layers(head, exact) for _ in range(out_features))

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        activate = activation_function(self.activation)
        h = x if self.embedding is None else self.embedding(x)
        h = jets.apply(jnp.sin, 2 * math.pi * self.first(h))
        h = h if self.dtype is None or isinstance(h, Jet) else h.astype(self.dtype)
        for layer in self.trunk:
            h = activate(layer(h))
        outputs = []
        for *hidden, last in self.heads:
            own = h
            for layer in hidden:
                own = activate(layer(own))
            outputs.append(last(own))
        return jets.concatenate(outputs)
