"""Multilayer perceptrons of Gabor wavelets."""

from __future__ import annotations

from flax import nnx

from rwf.activations import Wire
from rwf.layers import Embedding
from rwf.models.mlp import MLP
from rwf.typing import Dtype


class WIRE(MLP):
    """An `MLP` of real Gabor wavelets cos(omega z) exp(-(scale z)²); see `rwf.activations.Wire`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        depth: int,
        width: int,
        omega: float = 10.0,
        scale: float = 10.0,
        embedding: Embedding | None = None,
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            depth=depth,
            width=width,
            activation=Wire(omega, scale),
            embedding=embedding,
            dtype=dtype,
            rngs=rngs,
        )
