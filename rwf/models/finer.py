"""Sine networks whose frequency grows with the neuron's input."""

from __future__ import annotations

import math

import jax
from flax import nnx

from rwf import jets
from rwf.activations import Finer
from rwf.jets import Jet
from rwf.layers import Embedding
from rwf.models.siren import SIREN
from rwf.typing import Array, Coordinates, Dtype


class FINER(SIREN):
    """A `SIREN` with sin(omega_0 (|z| + 1) z) for its sine, z = x W + b (`rwf.activations.Finer`).

    After Liu and others (CVPR 2024). `first_bias` k draws the biases of the first layer uniformly within k, which
    widens the frequencies that there are at the start; None leaves them as in `SIREN`.

    Raises ValueError for a `first_bias` that is not positive, and what `SIREN` raises.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        depth: int,
        width: int,
        omega_0: float = 30.0,
        first_bias: float | None = None,
        through_factor: bool = False,
        embedding: Embedding | None = None,
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            depth=depth,
            width=width,
            omega_0=omega_0,
            embedding=embedding,
            dtype=dtype,
            rngs=rngs,
        )
        self.through_factor = through_factor
        if first_bias is not None:
            if not (math.isfinite(first_bias) and first_bias > 0):
                raise ValueError(f"first_bias must be positive, not {first_bias}")
            drawn = jax.random.uniform(rngs.params(), (width,), minval=-first_bias, maxval=first_bias)
            self.layers[0].bias = nnx.Param(drawn)

    def __call__(self, x: Coordinates | Jet) -> Array | Jet:
        activate = Finer(self.omega_0, self.through_factor)
        h = x if self.embedding is None else self.embedding(x)
        for layer in self.layers[:-1]:
            h = jets.apply(activate, layer(h))
        return self.layers[-1](h)
