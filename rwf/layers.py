"""The dense layer and the named activations that the models are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, overload

import jax
import jax.numpy as jnp
from flax import nnx

from rwf import jets, precision
from rwf.jets import Jet
from rwf.typing import Activation, Array, Dtype

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

    `dtype`, `param_dtype` and `preferred_element_type` are those of `flax.nnx.Linear`: the type of the
    computation (None: what inputs and parameters promote to), of the parameters, and of the result (None:
    `dtype`). A `dtype` narrower than float32 means mixed precision: operands are rounded to it, forward and
    backward, sums are float32, the bias is added in float32. A jet is never rounded: its derivatives
    keep the precision of jet and parameters.

    Raises ValueError for a `dtype` that is not a floating-point one.

    >>> layer = Dense(2, 3, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    >>> layer.kernel.dtype.name, layer(jnp.ones((1, 2))).dtype.name
    ('float32', 'bfloat16')
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        kernel_init: Callable[..., Array] = glorot_normal,
        bias_init: Callable[..., Array] = jax.nn.initializers.zeros,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        preferred_element_type: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        if dtype is not None:
            precision.is_narrow(dtype)  # a type that cannot be computed in is an error here
        self.in_features = in_features
        self.out_features = out_features
        self.dtype = dtype
        self.out_dtype = dtype if preferred_element_type is None else preferred_element_type

        def param(init: Callable[..., Array], shape: tuple[int, ...]) -> nnx.Param:
            return nnx.Param(jnp.asarray(init(rngs.params(), shape), param_dtype))

        self.kernel = param(kernel_init, (in_features, out_features))
        self.bias = param(bias_init, (out_features,)) if use_bias else None

    @overload
    def __call__(self, x: Jet) -> Jet: ...
    @overload
    def __call__(self, x: Array) -> Array: ...
    def __call__(self, x: Array | Jet) -> Array | Jet:
        kernel, bias = self.kernel[...], None if self.bias is None else self.bias[...]
        if self.dtype is not None and not isinstance(x, Jet):
            return precision.affine(x, kernel, bias, self.dtype, self.out_dtype)
        y = x @ kernel if bias is None else jets.plus_bias(x @ kernel, bias)
        return y if self.out_dtype is None or isinstance(y, Jet) else y.astype(self.out_dtype)


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
    module: Any = embedding(in_features, rngs=rngs)
    return module, module.out_features


def layer_dtypes(dtype: Dtype | None, count: int, embedding: Any = None) -> list[dict[str, Dtype]]:
    """The types of `count` dense layers, one after the other behind `embedding`, in a network of `dtype`.

    In mixed precision (a `dtype` narrower than float32) the last layer is float32, and so is the first
    one's product where coordinates reach it, which `dtype` would not tell apart.

    >>> [{name: jnp.dtype(part).name for name, part in layer.items()} for layer in layer_dtypes(jnp.bfloat16, 2)]
    [{'dtype': 'float32', 'preferred_element_type': 'bfloat16'}, {'dtype': 'float32'}]
    """
    if dtype is None:
        return [{}] * count
    if not precision.is_narrow(dtype):
        return [{"dtype": dtype}] * count
    safe = getattr(embedding, "rounds_safely", False)
    first = {"dtype": dtype if safe else jnp.float32, "preferred_element_type": dtype}
    return [first, *[{"dtype": dtype}] * (count - 2), {"dtype": jnp.float32}][-count:]


def dense_layers(
    sizes: Sequence[int], *, dtype: Dtype | None = None, embedding: Any = None, rngs: nnx.Rngs
) -> Any:
    """An `nnx.List` of dense layers from each of `sizes` to the next, typed by `layer_dtypes`."""
    types = layer_dtypes(dtype, len(sizes) - 1, embedding)
    return nnx.List(
        Dense(fan_in, fan_out, **own, rngs=rngs)
        for (fan_in, fan_out), own in zip(pairwise(sizes), types, strict=True)
    )


def check_positive(**sizes: int) -> None:
    """Raise ValueError, naming it, for a size that is not a positive integer."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} must be a positive integer, not {size!r}")
