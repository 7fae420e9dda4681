"""A small convolutional encoder for input functions given on a square grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx

from rwf import jets, precision
from rwf.layers import Dense, activation_function, check_positive, glorot_normal, layer_dtypes
from rwf.typing import Activation, Array, Dtype, Float


class CNN(nnx.Module):
    """Convolutions of 2x2 with stride 2, then a dense layer: (..., size, size) to (..., out_features).

    Each convolution halves the grid; `channels` are their output channels. The defaults are the encoder
    for 64x64 fields in the code of Seidman et al. (2023, VANO), from the paper's authors: 64, 32, 16, 8, 4
    and 2 points an axis, 512 features, one dense layer. Convolution kernels have four axes, so
    `rwf.factorize` leaves them as they are by default. `dtype` is that of `MLP`.

    Raises ValueError where `size` cannot be halved as often as there are convolutions.
    """

    def __init__(
        self,
        size: int,
        out_features: int,
        *,
        channels: Sequence[int] = (8, 16, 32, 64, 128),
        activation: Activation = "gelu",
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(
            size=size, out_features=out_features, **{"an entry of channels": min(channels, default=0)}
        )
        if size % 2 ** len(channels):
            raise ValueError(f"size {size} cannot be halved {len(channels)} times: change size or channels")
        self.size = size
        activation_function(activation)  # an unknown name is an error here, not at the first call
        self.activation = activation
        *self.types, output = layer_dtypes(dtype, len(channels) + 1)
        inputs = [1, *channels[:-1]]
        self.convolutions = nnx.List(
            nnx.Conv(
                fan_in, fan_out, (2, 2), strides=2, padding="VALID", kernel_init=glorot_normal, rngs=rngs
            )
            for fan_in, fan_out in zip(inputs, channels, strict=True)
        )
        flattened = channels[-1] * (size // 2 ** len(channels)) ** 2
        self.output = Dense(flattened, out_features, **output, rngs=rngs)

    def __call__(self, field: Float[Array, "*batch size size"]) -> Float[Array, "*batch features"]:
        if field.shape[-2:] != (self.size, self.size):
            raise ValueError(f"a field of shape {field.shape} must end in ({self.size}, {self.size})")
        activate = activation_function(self.activation)
        h = jnp.asarray(field)[..., None]
        for convolution, types in zip(self.convolutions, self.types, strict=True):
            bias: Any = convolution.bias
            h = activate(halved(h, convolution.kernel[...], bias[...], **types))
        return self.output(h.reshape(*h.shape[:-3], -1))


def halved(
    h: Float[Array, "*batch size size inputs"],
    kernel: Array,
    bias: Array,
    dtype: Dtype | None = None,
    preferred_element_type: Dtype | None = None,
) -> Array:
    """The convolution of `h` with a kernel (2, 2, inputs, outputs) at stride 2, plus bias: half as many points an axis.

    The patches do not overlap, so it is one matrix product of blocks, where a CPU takes long over the
    gradient of a general convolution. The types are those of `rwf.Dense`.
    """
    *batch, rows, columns, inputs = h.shape
    blocks = h.reshape(*batch, rows // 2, 2, columns // 2, 2, inputs)
    if dtype is None:
        return jets.plus_bias(jnp.einsum("...rickd,ikdo->...rco", blocks, kernel), bias)
    blocks = jnp.moveaxis(blocks, -4, -3).reshape(*batch, rows // 2, columns // 2, 4 * inputs)
    return precision.affine(
        blocks, kernel.reshape(4 * inputs, -1), bias, dtype, preferred_element_type or dtype
    )
