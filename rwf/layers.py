"""The dense layer and the named activations that the models are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rwf import jets
from rwf.jets import Jet
from rwf.typing import Activation, Array

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,  # the tanh approximation, JAX's default
    "sin": jnp.sin,
    "swish": jax.nn.swish,
}

Embedding = Callable[..., nnx.Module]  # (in_features, rngs=...) -> module with `out_features`
glorot_normal = nnx.initializers.glorot_normal()


class Dense(nnx.Module):
    """y = x @ kernel + bias, on an array (..., in_features) or a `rwf.Jet`.

    The kernel is Glorot normal and the bias zero, as in the paper (section 3), unless `kernel_init` or
    `bias_init` (functions of a key and a shape) say otherwise.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        kernel_init: Callable[..., Array] = glorot_normal,
        bias_init: Callable[..., Array] = jax.nn.initializers.zeros,
        rngs: nnx.Rngs,
    ):
        self.in_features = in_features
        self.out_features = out_features
        self.kernel = nnx.Param(kernel_init(rngs.params(), (in_features, out_features)))
        self.bias = nnx.Param(bias_init(rngs.params(), (out_features,))) if use_bias else None

    def __call__(self, x: Array | Jet) -> Array | Jet:
        y = x @ self.kernel[...]
        return y if self.bias is None else plus_bias(y, self.bias[...])


def plus_bias(y: Array | Jet, bias: Array) -> Array | Jet:
    """y + bias along the last axis, with axes made explicit: rank promotion may be forbidden."""
    return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def activation_function(activation: Activation) -> Callable[[Any], Any]:
    """The elementwise function of that name ("relu", "tanh", "gelu", "sin", "swish"), for arrays and jets.

    A callable is taken as the function itself. Raises ValueError, with the names there are, for another.

    >>> activation_function("relu")(jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {activation!r}: choose {', '.join(ACTIVATIONS)}, or pass a function"
            )
        function = ACTIVATIONS[activation]
    else:
        function = activation
    return lambda x: jets.apply(function, x)


def build_embedding(embedding: Embedding | None, in_features: int, rngs: nnx.Rngs) -> tuple[Any, int]:
    """The embedding module for inputs of `in_features` (or None), and how many features come out of it."""
    if embedding is None:
        return None, in_features
    module = embedding(in_features, rngs=rngs)
    return module, module.out_features


def check_positive(**sizes: int) -> None:
    """Raise ValueError, naming it, for a size that is not a positive integer."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} must be a positive integer, not {size!r}")
