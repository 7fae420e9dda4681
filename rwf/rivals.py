"""Parameterizations that others proposed and the paper does not compare: slopes with a fixed factor, two rescalings.

Each is written from its equations. Two of them change the function that a network starts as, and say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from rwf.parameterizations import LayerwiseAdaptiveActivation, WeightNorm
from rwf.places import Place
from rwf.typing import Factors, KeyArray, Layer


@dataclass(frozen=True)
class ScaledAdaptiveActivation(LayerwiseAdaptiveActivation):
    """One trained slope for each layer that starts at `initial` and counts relative to it: y = a / a_0 (x W + b).

    With a_0 = 1 / n it is the slope n a of Jagtap, Kawaguchi and Karniadakis (2020), whose fixed factor n makes
    an optimizer's steps of the slope n times larger. With a_0 = omega_0 it is the frequency omega of a layer
    sin(omega (x W + b)), trained itself; a linear output layer has such a factor too.

    Raises ValueError for an initial slope that is not finite and positive.
    """

    initial: float = 0.1

    def __post_init__(self) -> None:
        _check_positive(type(self).__name__, "initial", self.initial)

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        factors = super().factorize(layer, key)
        return {**factors, "a": self.initial * factors["a"]}

    def compose(self, factors: Factors) -> Layer:
        return super().compose({**factors, "a": factors["a"] / self.initial})


@dataclass(frozen=True)
class WeightConditioning(WeightNorm):
    """The weights of each neuron over their norm: a kernel's column is v / |v|, with v trained.

    Row equilibration, the preconditioner that Saratchandran, Wang and Lucey (2024, arXiv:2409.03424) put into the
    forward pass; their rows are columns here. Differentiated through the norm, as there, it is `WeightNorm`
    with g = 1, kept constant. The network starts as another function. A column of zeros is refused as by
    `WeightNorm`.
    """

    changes_function: ClassVar[bool] = True
    frozen: ClassVar[tuple[str, ...]] = ("g",)

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        factors = super().factorize(layer, key)
        return {**factors, "g": jnp.where(factors["g"] == 0, 0, jnp.ones_like(factors["g"]))}


@dataclass(frozen=True)
class WeightScaling:
    """Kernels `factor` times as large at initialisation, but for the last layer's; then trained as in `Plain`.

    Yeom and others (ICLR 2025) take factors of 2 to 2.5 for sine networks. An initialisation rather than a
    change of variables: the network starts as another function. Steps of Adam are the same, hence relative
    to the kernel `factor` times smaller.

    Raises ValueError for a factor that is not finite and positive.
    """

    changes_function: ClassVar[bool] = True
    factor: float = 2.0

    def __post_init__(self) -> None:
        _check_positive(type(self).__name__, "factor", self.factor)

    def covers(self, place: Place) -> bool:
        return not place.is_last

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        return {**layer, "kernel": self.factor * layer["kernel"]}

    def compose(self, factors: Factors) -> Layer:
        return dict(factors)


def _check_positive(kind: str, name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{kind}: {name} must be finite and positive, not {value}")
