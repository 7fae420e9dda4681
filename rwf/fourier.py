"""Fourier reparameterization: the kernels of hidden layers as combinations of fixed cosines."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rwf.places import Place
from rwf.typing import Array, Factors, KeyArray, Layer

SMALLEST = (
    1e-2  # smaller singular values of a basis, in shares of the largest, would need coefficients too large
)


@dataclass(frozen=True)
class FourierReparameterization:
    """Each hidden kernel is a fixed basis times trained coefficients, W = B C.

    After Shi, Zhou and Gu (CVPR 2024), whose W = Lambda B is the transpose. The columns of B (fan_in, M) are
    alpha cos(omega x + phi) at fan_in points x over the longest period: omega runs over 1/F, ..., 1/2, 1, 1, 2, ..., F
    with F = `frequencies`, phi over `phases` equal parts of a turn, and M is 2 F times `phases`. They take alpha 0.05
    for rectifiers and 0.01 for sines.

    They draw the coefficients; here they are the smallest that give the kernel, so that the function stays. Where
    B has not the rank fan_in, what is left is the kernel's orthogonal projection: with their numbers no loss
    up to 256 neurons, while at 512 the rank is 263 (smaller singular values left out). A step of Adam moves a
    kernel by the learning rate times the absolute sums of the rows of B, so this needs a rate of its own.

    Raises ValueError for numbers that are not positive, and for a kernel that has not two axes.
    """

    frozen: ClassVar[tuple[str, ...]] = ("basis",)
    alpha: float = 0.05
    frequencies: int = 128
    phases: int = 32

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0 and self.frequencies > 0 and self.phases > 0):
            raise ValueError(f"{self}: alpha, frequencies and phases must be positive")

    def covers(self, place: Place) -> bool:
        return place.is_hidden

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        kernel = layer["kernel"]
        if kernel.ndim != 2:
            raise ValueError(f"Fourier reparameterization is of kernels with two axes, not {kernel.ndim}")
        basis, inverse = _basis(self, kernel.shape[0])
        coefficients = _product(jnp.asarray(inverse, kernel.dtype), kernel)
        rest = {name: part for name, part in layer.items() if name != "kernel"}
        return {"coefficients": coefficients, "basis": jnp.asarray(basis, kernel.dtype), **rest}

    def compose(self, factors: Factors) -> Layer:
        rest = {name: part for name, part in factors.items() if name not in ("basis", "coefficients")}
        return {"kernel": _product(factors["basis"], factors["coefficients"]), **rest}


@functools.lru_cache(maxsize=16)
def _basis(choice: FourierReparameterization, fan_in: int) -> tuple[np.ndarray, np.ndarray]:
    """The basis (fan_in, M) and its pseudoinverse (M, fan_in), in float64."""
    whole = np.arange(1, choice.frequencies + 1)
    omega = np.concatenate([1 / whole[::-1], whole])
    phi = 2 * np.pi * np.arange(choice.phases) / choice.phases
    x = np.pi * choice.frequencies * np.linspace(-1, 1, fan_in)
    basis = choice.alpha * np.cos(omega[:, None, None] * x + phi[:, None]).reshape(-1, fan_in).T
    return basis, np.linalg.pinv(basis, rcond=SMALLEST)


def _product(a: Array, b: Array) -> Array:
    """a @ b in the type's own precision: on some devices the default would round the kernel."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
