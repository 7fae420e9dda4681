"""Fixed maps of the input coordinates in front of a network. All take arrays (..., in_features) or jets.

An embedding is made as `Embedding(in_features, ..., rngs=rngs)` and says how many features it returns
in `out_features`. None of them has trained parameters. Phases are computed in the precision of the
coordinates whatever `jax.default_matmul_precision` says: ten bits of a phase of 200 rad are tenths of a
radian. `rounds_safely` marks those whose features a mixed-precision layer may round, because none of
them is a coordinate itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rwf import jets
from rwf.functional import Constant
from rwf.jets import Jet
from rwf.layers import check_positive
from rwf.precision import exact_matmul
from rwf.typing import Array


class NoEmbedding(nnx.Module):
    """The coordinates as they are."""

    def __init__(self, in_features: int, *, rngs: nnx.Rngs | None = None):
        self.out_features = in_features

    def __call__(self, x: Array | Jet) -> Array | Jet:
        return x


class Symmetric(nnx.Module):
    """x -> 2 x - 1: the unit cube onto [-1, 1]^d, as for shapes without a mapping (Tancik et al. 2020)."""

    def __init__(self, in_features: int, *, rngs: nnx.Rngs | None = None):
        self.out_features = in_features

    def __call__(self, x: Array | Jet) -> Array | Jet:
        return 2 * x - 1


class BothEnds(nnx.Module):
    """(x, x - 1) for every coordinate x of the unit cube: how far it lies from either end (Chiu et al. 2026).

    All x come first. For a linear layer behind it this adds random phases at the start, and no function.
    """

    def __init__(self, in_features: int, *, rngs: nnx.Rngs | None = None):
        self.out_features = 2 * in_features

    def __call__(self, x: Array | Jet) -> Array | Jet:
        return jets.concatenate([x, x - 1])


class Positional(nnx.Module):
    """Axis-aligned frequencies: sine and cosine of 2 pi f_j x for every coordinate x.

    f_j = 2^(scale j / (n - 1)) - 1 with j = 0 .. n - 1, from 0 to 2^scale - 1; n is `features` divided by
    the number of coordinates, rounded down (128 in two and 85 in three dimensions for 256). The sines of
    all come first, then the cosines: 2 n in_features in all. This is the mapping in the code of Tancik et
    al. (2020); the paper's formula sigma^(j/m) is the same with sigma = 2^scale but for the subtracted one.

    Raises ValueError for fewer than two frequencies an axis.

    >>> Positional(2, features=256, scale=6.0).out_features
    512
    """

    rounds_safely: ClassVar[bool] = True

    def __init__(
        self, in_features: int, *, features: int = 256, scale: float = 6.0, rngs: nnx.Rngs | None = None
    ):
        count = features // in_features
        if count < 2:
            raise ValueError(
                f"features={features} leaves {count} frequencies for each of {in_features} axes: take more"
            )
        exponents = np.linspace(0.0, scale, count)
        self.frequencies = tuple((2.0**exponents - 1.0).tolist())
        self.in_features = in_features
        self.out_features = 2 * in_features * count

    def __call__(self, x: Array | Jet) -> Array | Jet:
        row = np.asarray(self.frequencies)
        matrix = np.kron(np.eye(self.in_features), row)  # (d, d n): the frequencies of each axis in turn
        return _sine_and_cosine(exact_matmul(x, jnp.asarray(2 * math.pi * matrix, x.dtype)))


class GaussianFourier(nnx.Module):
    """Random Fourier features: sine and cosine of 2 pi x B, entries of B from N(0, scale^2), B fixed.

    `features` is the number m of random frequencies, 2 m the number of features (sines first). `two_pi`
    switches the factor 2 pi off, as in the simplified NeRF of Tancik et al. (2020); `normalize` divides
    the features by sqrt(m), as their shape example does and the paper's formula does not.
    """

    rounds_safely: ClassVar[bool] = True

    def __init__(
        self,
        in_features: int,
        *,
        features: int = 256,
        scale: float = 10.0,
        two_pi: bool = True,
        normalize: bool = False,
        rngs: nnx.Rngs,
    ):
        check_positive(features=features)
        self.frequencies = Constant(scale * jax.random.normal(rngs.params(), (in_features, features)))
        self.factor = 2 * math.pi if two_pi else 1.0
        self.amplitude = 1 / math.sqrt(features) if normalize else 1.0
        self.out_features = 2 * features

    def __call__(self, x: Array | Jet) -> Array | Jet:
        features = _sine_and_cosine(exact_matmul(x, self.factor * self.frequencies[...]))
        return features if self.amplitude == 1.0 else self.amplitude * features


class Periodic(nnx.Module):
    """Exact periodicity: coordinates with a period p become cos and sin of 2 pi x / p, others stay.

    `periods` has one entry for each coordinate, None where it is not periodic. The order is that of the
    coordinates: with periods (2 pi, None), (x, t) becomes (cos x, sin x, t), the paper's advection input;
    with (1, None), (cos 2 pi x, sin 2 pi x, t), its Burgers input. After Dong and Ni (2021).

    Raises ValueError where the number of periods is not that of the coordinates, or one is not positive.
    """

    def __init__(self, in_features: int, *, periods: Sequence[float | None], rngs: nnx.Rngs | None = None):
        if len(periods) != in_features:
            raise ValueError(
                f"periods {tuple(periods)}: one entry for each of {in_features} coordinates is needed"
            )
        if any(period is not None and not period > 0 for period in periods):
            raise ValueError(f"periods {tuple(periods)}: each must be positive, or None for no period")
        self.periods = tuple(periods)
        self.out_features = sum(1 if period is None else 2 for period in periods)

    def __call__(self, x: Array | Jet) -> Array | Jet:
        columns = []
        for axis, period in enumerate(self.periods):
            column = x[..., axis : axis + 1]
            if period is None:
                columns.append(column)
            else:
                phase = (2 * math.pi / period) * column
                columns += [jets.apply(jnp.cos, phase), jets.apply(jnp.sin, phase)]
        return jets.concatenate(columns)


def _sine_and_cosine(phase: Array | Jet) -> Array | Jet:
    if isinstance(phase, Jet):
        return jets.concatenate([jets.apply(jnp.sin, phase), jets.apply(jnp.cos, phase)])
    return jax.lax.platform_dependent(phase, cpu=_side_by_side, default=_padded)


def _side_by_side(phase: Array) -> Array:
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)


def _padded(phase: Array) -> Array:
    """The same as a sum. In front of a product a GPU's compiler would write both halves, then copy them into one."""
    count, whole = phase.shape[-1], [(0, 0)] * (phase.ndim - 1)
    return jnp.pad(jnp.sin(phase), [*whole, (0, count)]) + jnp.pad(jnp.cos(phase), [*whole, (count, 0)])
