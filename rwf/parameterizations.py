"""How a layer's kernel and bias are expressed by the factors that are trained.

A parameterization is a frozen dataclass with two methods: `factorize` turns the initial kernel and
bias of one layer into factors, and `compose` turns factors back into the effective kernel and bias.
The last axis of a kernel runs over the output neurons. All of these leave the initial function as it is.
Axes are explicit throughout, so that they work under `jax_numpy_rank_promotion=raise` too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from rwf.typing import Array, Factors, KeyArray, Layer


@runtime_checkable
class Parameterization(Protocol):
    """What `rwf.factorize` needs. An own one is hashable (a frozen dataclass) and has these two methods.

    One that cannot train some factors may also have `verify(factors)`, which raises ValueError for them; there
    may be axes in front, over members of an ensemble. See `rwf.verify`.

    It may name `frozen` factors, which `rwf.compose` keeps constant: their gradient is zero (`rwf.trainable`).
    `covers(place)` says which dense layers it is made for, where that is not every one (`rwf.Place`), and
    `changes_function = True` that the network starts as another function than that of its kernels.
    """

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        """The trained factors of a layer with the given kernel and, if it has one, bias."""
        ...

    def compose(self, factors: Factors) -> Layer:
        """The effective kernel and bias; differentiable in the factors."""
        ...


def frozen_factors(parameterization: Parameterization) -> tuple[str, ...]:
    """The names of the factors that `parameterization` does not train."""
    return getattr(parameterization, "frozen", ())


@dataclass(frozen=True)
class Plain:
    """Trains kernel and bias themselves: y = x W + b.

    >>> sorted(Plain().factorize({"kernel": jnp.ones((2, 3))}, jax.random.key(0)))
    ['kernel']
    """

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        return dict(layer)

    def compose(self, factors: Factors) -> Layer:
        return dict(factors)


@dataclass(frozen=True)
class AdaptiveActivation:
    """Adaptive activation slopes: y = a (x W + b) with one trained slope per neuron, initially 1.

    Equation 2.11 of the paper; the slope also multiplies the bias. Jagtap, Kawaguchi and Karniadakis
    (2020) use one slope for a whole network, and a fixed factor beside it, which the paper does not.
    """

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        kernel = layer["kernel"]
        return {**layer, "a": jnp.ones(kernel.shape[-1:], kernel.dtype)}

    def compose(self, factors: Factors) -> Layer:
        slope = factors["a"]
        return {name: _per_neuron(slope, array) * array for name, array in factors.items() if name != "a"}


@dataclass(frozen=True)
class LayerwiseAdaptiveActivation(AdaptiveActivation):
    """Adaptive activation with a single trained slope for each layer, initially 1."""

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        return {**layer, "a": jnp.ones((), layer["kernel"].dtype)}


@dataclass(frozen=True)
class WeightNorm:
    """Weight normalization: each column of the kernel is g v / |v|, with g and v trained.

    Equation 2.9 of the paper, after Salimans and Kingma (2016). Initially v is the kernel and g its
    column norms (over all axes but the last), without a data-dependent step.

    A column of zeros has no direction: `verify`, and with it `rwf.factorize`, raises ValueError for one. Inside
    a compiled function, where values are unknown, such a column stays zero and its gradients are zero.
    """

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        return {"v": layer["kernel"], "g": _column_norms(layer["kernel"]), **_bias(layer)}

    def compose(self, factors: Factors) -> Layer:
        v, norms = factors["v"], _column_norms(factors["v"])
        scale = factors["g"] / jnp.where(norms == 0, 1, norms)
        return {"kernel": v * _per_neuron(scale, v), **_bias(factors)}

    def verify(self, factors: Factors) -> None:
        zero = jnp.argwhere(factors["g"] == 0)
        if len(zero):
            columns = sorted({int(index[-1]) for index in zero})
            raise ValueError(
                f"kernel columns {columns[:5]} are zero, so weight normalization has no direction for them: "
                "initialise them, or leave this layer out with `where`"
            )


@dataclass(frozen=True)
class RWF:
    """Random weight factorization: each column of the kernel is s v, with s and v trained.

    Listing 2 of the paper. With z ~ mean + std N(0, 1) for each neuron, s starts as exp(z) and v as the
    kernel over s; from then on s is trained directly, never exponentiated again. `std` is a standard
    deviation. The paper takes mean 1, std 0.1 but for natural images (2, 0.01) and Navier-Stokes (0.5, 0.1).

    Raises ValueError for a mean that is not finite or a std that is not finite or negative.

    >>> factors = RWF(mean=1.0, std=0.0).factorize({"kernel": jnp.ones((1, 2))}, jax.random.key(0))
    >>> [f"{factor:.4f}" for factor in (*factors["s"], *factors["v"][0])]
    ['2.7183', '2.7183', '0.3679', '0.3679']
    """

    mean: float = 1.0
    std: float = 0.1

    def __post_init__(self) -> None:
        _check_normal(type(self).__name__, self.mean, self.std)

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        scale = jnp.exp(_log_scale(self.mean, self.std, layer["kernel"], key))
        kernel = layer["kernel"]
        return {"v": kernel / _per_neuron(scale, kernel), "s": scale, **_bias(layer)}

    def compose(self, factors: Factors) -> Layer:
        v = factors["v"]
        return {"kernel": v * _per_neuron(factors["s"], v), **_bias(factors)}


@dataclass(frozen=True)
class RWFFrozenScale(RWF):
    """Random weight factorization whose scale stays as it was drawn; only v and the bias are trained.

    What is left of `RWF` without the training of s. Under Adam, but for its epsilon, it is Plain whose kernels have
    s_i times the learning rate for neuron i, and whose biases keep theirs.
    """

    frozen: ClassVar[tuple[str, ...]] = ("s",)


@dataclass(frozen=True)
class RWFLogScale:
    """Random weight factorization that trains the exponent: each column of the kernel is exp(z) v.

    What the paper's prose and its Algorithm 1 say, against its Listing 2 and the code published by its
    authors. It starts from the same factors as `RWF` for the same key but moves differently.

    Raises ValueError for a mean that is not finite or a std that is not finite or negative.
    """

    mean: float = 1.0
    std: float = 0.1

    def __post_init__(self) -> None:
        _check_normal(type(self).__name__, self.mean, self.std)

    def factorize(self, layer: Layer, key: KeyArray) -> Factors:
        exponent = _log_scale(self.mean, self.std, layer["kernel"], key)
        kernel = layer["kernel"]
        return {"v": kernel / _per_neuron(jnp.exp(exponent), kernel), "log_s": exponent, **_bias(layer)}

    def compose(self, factors: Factors) -> Layer:
        v = factors["v"]
        return {"kernel": v * _per_neuron(jnp.exp(factors["log_s"]), v), **_bias(factors)}


def _bias(layer: Layer) -> Factors:
    return {"bias": layer["bias"]} if "bias" in layer else {}


def _per_neuron(factor: Array, array: Array) -> Array:
    """One number for each output neuron (or one for all), with as many axes as `array`."""
    return factor.reshape((1,) * (array.ndim - factor.ndim) + factor.shape)


def _column_norms(kernel: Array) -> Array:
    """Norms over all axes but the last; where a column is zero, so are its norm and the norm's gradient."""
    squares = jnp.sum(jnp.square(kernel), axis=tuple(range(kernel.ndim - 1)))
    return jnp.where(squares == 0, 0, jnp.sqrt(jnp.where(squares == 0, 1, squares)))


def _log_scale(mean: float, std: float, kernel: Array, key: KeyArray) -> Array:
    return mean + std * jax.random.normal(key, kernel.shape[-1:], kernel.dtype)


def _check_normal(name: str, mean: float, std: float) -> None:
    if not math.isfinite(mean):
        raise ValueError(f"{name}: mean must be finite, not {mean}")
    if not math.isfinite(std) or std < 0:
        raise ValueError(f"{name}: std is a standard deviation, finite and not negative; got {std}")
