"""Activations with settings of their own, for `activation` of a model; `rwf.layers.ACTIVATIONS` has those without."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from rwf.typing import Array


@dataclass(frozen=True)
class Finer:
    """sin(omega (|z| + 1) z), whose frequency grows with |z|; after Liu and others (FINER, CVPR 2024).

    As in their code no gradient passes through |z| + 1. So slopes with respect to coordinates are not those of
    the function either: with `through_factor` they are, for residuals of differential equations say.

    Raises ValueError for an omega that is not finite and positive.
    """

    omega: float = 30.0
    through_factor: bool = False

    def __post_init__(self) -> None:
        _check_positive(self, omega=self.omega)

    def __call__(self, z: Array) -> Array:
        factor = jnp.abs(z) + 1
        return jnp.sin(self.omega * (factor if self.through_factor else jax.lax.stop_gradient(factor)) * z)


@dataclass(frozen=True)
class Wire:
    """cos(omega z) exp(-(scale z)²), a real Gabor wavelet; after Saragadam and others (WIRE, CVPR 2023).

    Their network is complex, exp(i omega z - |scale z|²); this is its real part on real neurons.

    Raises ValueError for settings that are not finite and positive.
    """

    omega: float = 10.0
    scale: float = 10.0

    def __post_init__(self) -> None:
        _check_positive(self, omega=self.omega, scale=self.scale)

    def __call__(self, z: Array) -> Array:
        return jnp.cos(self.omega * z) * jnp.exp(-jnp.square(self.scale * z))


def _check_positive(activation: object, **settings: float) -> None:
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{type(activation).__name__}: {name} must be finite and positive, not {value}")
